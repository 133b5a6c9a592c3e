// Optimizer as Python sees it: a rule, and its state for one list of arrays, or a caller's for one array. A
// step on twenty small arrays takes about a microsecond, so what is checked of each array is checked here, in
// a few instructions, every time: nothing is remembered of an array but its shape.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <tuple>

#include "bindings/exclusive_use.h"
#include "bindings/interruptible.h"
#include "bindings/rules.h"
#include "network/buffer.h"
#include "network/team.h"
#include "training/update.h"

namespace gdfast {

namespace {

using Sizes = std::vector<py::ssize_t>;

// The arrays of one argument, which is a list of them or a single one.
class Arrays {
public:
    Arrays(py::handle object, const char* name) : name_(name) {
        if (py::isinstance<py::list>(object) || py::isinstance<py::tuple>(object)) {
            // Its own references: another thread may change the list while the GIL is released.
            items_ = py::tuple(py::reinterpret_borrow<py::object>(object));
            size_ = items_.size();
        } else if (py::isinstance<py::array>(object)) {
            items_ = py::make_tuple(object);
            single_ = true;
        } else {
            throw py::type_error(std::string(name) + " must be a NumPy array or a list of them, got " +
                                 py::cast<std::string>(py::str(py::type::of(object).attr("__name__"))));
        }
    }
    size_t size() const { return size_; }
    py::handle operator[](size_t i) const {
        return PyTuple_GET_ITEM(items_.ptr(), static_cast<Py_ssize_t>(i));
    }
    Name name(size_t i) const { return single_ ? Name(name_) : Name(name_, i); }

private:
    const char* name_;
    py::tuple items_;
    size_t size_ = 1;
    bool single_ = false;
};

const py::detail::PyArray_Proxy* proxy(py::handle array) { return py::detail::array_proxy(array.ptr()); }

// NumPy's descriptor of T, set on import. (A static variable of a function would be initialised under a lock
// of C++'s, in which a thread can wait for Python while another holds Python up and waits for the lock.)
template <class T>
const PyObject* type_descriptor = nullptr;

// What checked_array asks for, in the case that is common.
template <class T>
bool is_plain(py::handle object, Access access) {
    using Api = py::detail::npy_api;
    if (!Api::get().PyArray_Check_(object.ptr())) return false;
    const int wanted = Api::NPY_ARRAY_C_CONTIGUOUS_ | Api::NPY_ARRAY_ALIGNED_ |
                       (access == Access::write ? Api::NPY_ARRAY_WRITEABLE_ : 0);
    return proxy(object)->descr == type_descriptor<T> && (proxy(object)->flags & wanted) == wanted;
}

template <class T>
T* pointer(const Arrays& arrays, size_t i, Access access) {
    if (!is_plain<T>(arrays[i], access)) checked_array<T>(arrays[i], arrays.name(i), access);
    return reinterpret_cast<T*>(proxy(arrays[i])->data);
}

bool has_shape(py::handle array, const Sizes& shape) {
    const auto* a = proxy(array);
    return static_cast<size_t>(a->nd) == shape.size() &&
           std::equal(shape.begin(), shape.end(), a->dimensions);
}

Sizes shape_of(py::handle array) {
    const auto* a = proxy(array);
    return Sizes(a->dimensions, a->dimensions + a->nd);
}

int64_t product(const Sizes& shape) {
    int64_t n = 1;
    for (const py::ssize_t size : shape) n *= size;
    return n;
}

std::string text(const Sizes& shape) {
    py::tuple sizes(shape.size());
    for (size_t i = 0; i < shape.size(); ++i) sizes[i] = shape[i];
    return py::cast<std::string>(py::str(sizes));
}

// Memory of an array of this call; whatever is written may share none with any other.
struct Extent {
    const char *first, *last;
    size_t index;
    bool written;
};

void check_all_apart(std::vector<Extent>& extents, const Arrays& params, const Arrays& grads) {
    std::sort(extents.begin(), extents.end(),
              [](const Extent& a, const Extent& b) { return a.first < b.first; });
    const Extent *furthest = nullptr, *furthest_written = nullptr;
    for (const Extent& extent : extents) {
        const Extent* before = extent.written ? furthest : furthest_written;
        if (before && extent.first < before->last) {
            const auto name = [&](const Extent& e) {
                return (e.written ? params : grads).name(e.index).str();
            };
            const Extent& written = extent.written ? extent : *before;
            const Extent& other = extent.written ? *before : extent;
            throw py::value_error(name(written) + " must not share memory with " + name(other));
        }
        if (!furthest || extent.last > furthest->last) furthest = &extent;
        if (extent.written && (!furthest_written || extent.last > furthest_written->last))
            furthest_written = &extent;
    }
}

template <class T>
struct Slots {
    std::vector<Buffer<T>> arrays;  // one to a slot: the states of all parameters, one after another
};

// One step on arrays of one shape: param and each array of state written, grad read.
template <class T>
void update_array(const RuleSpec& rule, const py::object& param, const py::object& grad,
                  const py::dict& state, int64_t step, double lr) {
    const std::vector<Slot> slots = rule.slots();
    for (const Slot& slot : slots)
        if (!state.contains(slot.name))
            throw py::value_error("state must have '" + std::string(slot.name) + "' for this rule");
    if (state.size() != slots.size())
        throw py::value_error("state holds more than this rule keeps: it is another rule's");
    const py::array values = checked_array<T>(param, "param", Access::write);
    Updated<T> array{};
    array.n = values.size();
    array.w = static_cast<T*>(const_cast<void*>(values.data()));
    array.g = checked_like<T>(values, grad, "grad", Access::read);
    check_apart(param, "param", grad, "grad");
    std::vector<py::object> states;  // references of our own: the dict may change while the GIL is released
    for (const Slot& slot : slots) {
        const py::object values_of_slot = state[slot.name];
        array.states[states.size()] = checked_like<T>(values, values_of_slot, slot.name, Access::write);
        check_apart(values_of_slot, slot.name, param, "param");
        check_apart(values_of_slot, slot.name, grad, "grad");
        for (size_t j = 0; j < states.size(); ++j)
            check_apart(values_of_slot, slot.name, states[j], slots[j].name);
        states.push_back(values_of_slot);
    }
    const RuleStep<T> scalars = rule.at<T>(step, lr, 0);
    const int limit = thread_limit(0);
    py::gil_scoped_release released;
    update_all<T>(rule.rule, scalars, {array}, limit);
}

class Optimizer {
public:
    Optimizer(const std::string& name, const py::dict& params) : rule_(rule_named(name, params)) {}

    void step(py::handle params, py::handle grads, double lr) {
        const ExclusiveUse use(running_, "optimizer");
        if (!(lr >= 0) || std::isinf(lr))
            throw py::value_error("lr must be finite and not negative, got " +
                                  py::cast<std::string>(py::repr(py::float_(lr))));
        const Arrays p(params, "params"), g(grads, "grads");
        if (p.size() == 0) throw py::value_error("params must hold at least one array");
        if (p.size() != g.size())
            throw py::value_error("grads must hold as many arrays as params (" + std::to_string(p.size()) +
                                  "), got " + std::to_string(g.size()));
        if (is_plain<float>(p[0], Access::write) || is_float32(p[0], p.name(0)))
            step_typed<float>(p, g, lr);
        else
            step_typed<double>(p, g, lr);
    }

    // The names of the arrays that the rule keeps of each parameter, and what fills them at first.
    py::dict slots() const {
        py::dict slots;
        for (const Slot& slot : rule().slots()) slots[slot.name] = slot.initial;
        return slots;
    }

    // A step with state of the caller's own: nothing of this optimizer changes.
    void update(const py::object& param, const py::object& grad, const py::dict& state, int64_t step,
                double lr) const {
        if (step < 1)
            throw py::value_error("step must be at least 1 (the first step), got " + std::to_string(step));
        RuleSpec rule = this->rule();
        // A velocity that is passed is kept, though nothing of it is carried on.
        if (rule.rule == Rule::sgd && state.size() == 1) rule.rule = Rule::momentum;
        const auto typed = is_float32(param, "param") ? update_array<float> : update_array<double>;
        typed(rule, param, grad, state, step, lr);
    }

    // Other hyper-parameters from the next step on, of the same rule.
    void set_rule(const std::string& name, const py::dict& params) {
        const ExclusiveUse use(running_, "optimizer");
        const RuleSpec rule = rule_named(name, params);
        if (bound_ && !same_slots(rule.slots(), rule_.slots()))
            throw py::value_error(
                "this hyper-parameter decides which state the rule keeps: it cannot change after the first "
                "step; make a new optimizer");
        const std::lock_guard<std::mutex> lock(rule_lock_);
        rule_ = rule;
    }

    py::dict state_dict() const {
        const ExclusiveUse use(running_, "optimizer");
        py::dict slots;
        const auto names = rule_.slots();
        for (size_t i = 0; bound_ && i < names.size(); ++i)
            slots[names[i].name] = float32_ ? copies<float>(i) : copies<double>(i);
        py::dict state;
        state["step"] = steps();
        state["slots"] = slots;
        return state;
    }

    void load_state_dict(const py::dict& state) {
        const ExclusiveUse use(running_, "optimizer");
        if (!state.contains("step") || !state.contains("slots"))
            throw py::value_error("state must have 'step' and 'slots', as state_dict() returns them");
        const int64_t steps = checked_number<int64_t>(state["step"], "state['step']");
        if (steps < 0)
            throw py::value_error("state['step'] must be at least 0, got " + std::to_string(steps));
        const py::object object = state["slots"];
        if (!py::isinstance<py::dict>(object)) throw py::type_error("state['slots'] must be a dict");
        const auto slots = py::reinterpret_borrow<py::dict>(object);
        const auto names = rule_.slots();
        // A state before the first step, or of a rule without state, has no arrays.
        if (slots.size() == 0 && (steps == 0 || names.empty())) {
            bound_ = false;
            steps_ = steps;
            return;
        }
        if (slots.size() > names.size())
            throw py::value_error("state['slots'] holds more than this rule keeps: it is another rule's");
        std::vector<Arrays> lists;
        std::vector<std::string> labels;
        labels.reserve(names.size());  // Arrays point into them
        for (const Slot& slot : names) {
            labels.push_back("state['slots']['" + std::string(slot.name) + "']");
            if (!slots.contains(slot.name))
                throw py::value_error("state['slots'] must have '" + std::string(slot.name) +
                                      "' for this rule");
            const py::object list = slots[slot.name];
            if (!py::isinstance<py::list>(list))
                throw py::type_error(labels.back() + " must be a list of arrays");
            lists.emplace_back(list, labels.back().c_str());
        }
        if (lists[0].size() == 0) throw py::value_error(labels[0] + " must hold at least one array");
        if (is_float32(lists[0][0], lists[0].name(0)))
            load_typed<float>(lists);
        else
            load_typed<double>(lists);
        steps_ = steps;
    }

    int64_t steps() const { return steps_; }

private:
    template <class T>
    void step_typed(const Arrays& params, const Arrays& grads, double lr) {
        const size_t count = params.size();
        check_bound<T>(count);
        std::vector<Updated<T>> arrays(count);
        std::vector<Extent> extents;
        extents.reserve(2 * count);
        for (size_t i = 0; i < count; ++i) {
            Updated<T>& a = arrays[i];
            a.w = pointer<T>(params, i, Access::write);
            a.g = pointer<T>(grads, i, Access::read);
            const auto* shape = proxy(params[i]);
            if (bound_ && !has_shape(params[i], shapes_[i]))
                throw py::value_error(params.name(i).str() + " must have shape " + text(shapes_[i]) +
                                      " as in the first step, got " + text(shape_of(params[i])));
            const auto* other = proxy(grads[i]);
            if (shape->nd != other->nd ||
                !std::equal(shape->dimensions, shape->dimensions + shape->nd, other->dimensions))
                throw py::value_error(grads.name(i).str() + " must have shape " + text(shape_of(params[i])) +
                                      ", got " + text(shape_of(grads[i])));
            a.n = 1;
            for (int d = 0; d < shape->nd; ++d) a.n *= shape->dimensions[d];
            if (a.n == 0) continue;
            const auto extent = [&](const T* data, bool written) {
                extents.push_back({reinterpret_cast<const char*>(data),
                                   reinterpret_cast<const char*>(data + a.n), i, written});
            };
            extent(a.w, true);
            extent(a.g, false);
        }
        check_all_apart(extents, params, grads);
        if (!bound_) {
            std::vector<Sizes> shapes;
            for (size_t i = 0; i < count; ++i) shapes.push_back(shape_of(params[i]));
            bind<T>(std::move(shapes));
        }
        const auto& slots = std::get<Slots<T>>(slots_).arrays;
        for (size_t i = 0; i < count; ++i)
            for (size_t s = 0; s < slots.size(); ++s) arrays[i].states[s] = slots[s].data() + offsets_[i];
        const RuleStep<T> scalars = [&] {
            const std::lock_guard<std::mutex> lock(rule_lock_);
            return rule_.at<T>(steps_ + 1, lr, 0);
        }();
        const int limit = thread_limit(0);
        {
            py::gil_scoped_release released;
            update_all<T>(rule_.rule, scalars, arrays, limit);
        }
        ++steps_;
    }

    template <class T>
    void check_bound(size_t count) const {
        if (!bound_) return;
        if (shapes_.size() != count)
            throw py::value_error("params must hold " + std::to_string(shapes_.size()) +
                                  " arrays as in the first step, got " + std::to_string(count));
        if (float32_ != (sizeof(T) == 4))
            throw py::type_error(std::string("params must have dtype ") + (float32_ ? "float32" : "float64") +
                                 " as in the first step");
    }

    // Allocates the state of arrays of these shapes, as it is at the beginning.
    template <class T>
    void bind(std::vector<Sizes> shapes) {
        constexpr int64_t line = 64 / sizeof(T);
        std::vector<int64_t> offsets;
        int64_t end = 0;
        for (const Sizes& shape : shapes) {
            offsets.push_back(end);
            end += (product(shape) + line - 1) / line * line;
        }
        Slots<T> slots;
        interruptible([&] {  // the page faults of large arrays take long
            for (const Slot& slot : rule_.slots()) {
                slots.arrays.emplace_back(end);
                if (slot.initial != 0)
                    std::fill_n(slots.arrays.back().data(), end, static_cast<T>(slot.initial));
            }
        });
        std::get<Slots<T>>(slots_) = std::move(slots);
        shapes_ = std::move(shapes);
        offsets_ = std::move(offsets);
        float32_ = sizeof(T) == 4;
        bound_ = true;
    }

    template <class T>
    py::list copies(size_t slot) const {
        py::list list;
        const T* all = std::get<Slots<T>>(slots_).arrays[slot].data();
        for (size_t i = 0; i < shapes_.size(); ++i) {
            py::array_t<T> copy(shapes_[i]);
            std::copy_n(all + offsets_[i], product(shapes_[i]), copy.mutable_data());
            list.append(copy);
        }
        return list;
    }

    template <class T>
    void load_typed(const std::vector<Arrays>& lists) {
        const size_t count = lists[0].size();
        std::vector<Sizes> shapes;
        std::vector<std::vector<const T*>> from(lists.size());
        for (size_t s = 0; s < lists.size(); ++s) {
            if (lists[s].size() != count)
                throw py::value_error("the lists of state['slots'] must be of one length");
            for (size_t i = 0; i < count; ++i) {
                from[s].push_back(pointer<T>(lists[s], i, Access::read));
                const Sizes shape = shape_of(lists[s][i]);
                if (s == 0) shapes.push_back(shape);
                if (shape != shapes[i])
                    throw py::value_error(lists[s].name(i).str() + " must have shape " + text(shapes[i]) +
                                          ", got " + text(shape));
            }
        }
        bind<T>(std::move(shapes));
        for (size_t s = 0; s < lists.size(); ++s)
            for (size_t i = 0; i < count; ++i)
                std::copy_n(from[s][i], product(shapes_[i]),
                            std::get<Slots<T>>(slots_).arrays[s].data() + offsets_[i]);
    }

    static bool same_slots(const std::vector<Slot>& a, const std::vector<Slot>& b) {
        return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                          [](const Slot& x, const Slot& y) { return std::string(x.name) == y.name; });
    }

    RuleSpec rule() const {
        const std::lock_guard<std::mutex> lock(rule_lock_);
        return rule_;
    }

    // What is asked while another thread is at work: the rule, which its user locks to change it, and the
    // number of steps. All else is the user's alone.
    RuleSpec rule_;
    mutable std::mutex rule_lock_;
    std::atomic<int64_t> steps_{0};
    bool bound_ = false, float32_ = false;
    std::vector<Sizes> shapes_;
    std::vector<int64_t> offsets_;
    std::tuple<Slots<float>, Slots<double>> slots_;
    mutable std::atomic<bool> running_{false};
};

}  // namespace

void register_optimizer(py::module_& m) {
    type_descriptor<float> = py::dtype::of<float>().release().ptr();
    type_descriptor<double> = py::dtype::of<double>().release().ptr();
    py::class_<Optimizer>(m, "Optimizer")
        .def(py::init<const std::string&, const py::dict&>(), py::arg("rule"), py::arg("rule_params"))
        .def("step", &Optimizer::step, py::arg("params"), py::arg("grads"), py::arg("lr"))
        .def("slots", &Optimizer::slots)
        .def("update", &Optimizer::update, py::arg("param"), py::arg("grad"), py::arg("state"),
             py::arg("step"), py::arg("lr"))
        .def("set_rule", &Optimizer::set_rule, py::arg("rule"), py::arg("rule_params"))
        .def("state_dict", &Optimizer::state_dict)
        .def("load_state_dict", &Optimizer::load_state_dict, py::arg("state"))
        .def_property_readonly("steps", &Optimizer::steps);
}

}  // namespace gdfast
