# Which of some flags the compiler and the linker in use know: they are hints, and the build goes without.
include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)
include(CheckLinkerFlag)

# Whether the compiler's target is the architecture that has this macro. It is the compiler that knows: a compiler for
# another machine may be in use, and on macOS one for two of them, which gets the generic kernels.
function(compiles_for result macro)
  check_cxx_source_compiles("#ifndef ${macro}\n#error another one\n#endif\nint main() { return 0; }" IS${macro})
  set(${result} "${IS${macro}}" PARENT_SCOPE)
endfunction()

function(supported_flags result)
  set(supported)
  foreach(flag IN LISTS ARGN)
    # Compilers let -Wno-<anything> pass: ask for the warning itself.
    string(REPLACE "-Wno-" "-W" asked "${flag}")
    string(MAKE_C_IDENTIFIER "HAS${asked}" known)
    check_cxx_compiler_flag("${asked}" ${known})
    if(${known})
      list(APPEND supported "${flag}")
    endif()
  endforeach()
  set(${result} "${supported}" PARENT_SCOPE)
endfunction()

function(supported_link_flags result)
  set(supported)
  foreach(flag IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER "HAS_${flag}" known)
    check_linker_flag(CXX "${flag}" ${known})
    if(${known})
      list(APPEND supported "${flag}")
    endif()
  endforeach()
  set(${result} "${supported}" PARENT_SCOPE)
endfunction()
