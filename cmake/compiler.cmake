# The compilers that can compile gdfast, and their flags. The oldest versions: GCC has __builtin_convertvector since 9;
# of Clang, 14 is the oldest that has been tried, and Apple's of that number is no older.
set(oldest_GNU 9)
set(oldest_Clang 14)
set(oldest_AppleClang 14)

if(CMAKE_CXX_COMPILER_ID STREQUAL "MSVC")
  message(FATAL_ERROR "gdfast is written with the vector types of GCC and Clang, which Microsoft's compiler does not "
    "have. Install the Clang tools of Visual Studio, and use clang-cl: -T ClangCL with a Visual Studio generator, "
    "-DCMAKE_CXX_COMPILER=clang-cl with Ninja.")
endif()
set(oldest "${oldest_${CMAKE_CXX_COMPILER_ID}}")
if(oldest AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS oldest)
  message(FATAL_ERROR "gdfast needs ${CMAKE_CXX_COMPILER_ID} ${oldest} or newer, and ${CMAKE_CXX_COMPILER} is version "
    "${CMAKE_CXX_COMPILER_VERSION}. Install a newer one (g++ or clang of a newer release; gcc-toolset on Red Hat's "
    "systems), and name it in the environment variable CXX.")
endif()

if(CMAKE_CXX_COMPILER_FRONTEND_VARIANT STREQUAL "MSVC")  # clang-cl, where -Wall is everything there is
  set(CMAKE_CXX_FLAGS_RELEASE "/clang:-O3 /DNDEBUG")
  set(warnings /W3)
  set(exact_arithmetic /clang:-ffp-contract=off /clang:-fno-math-errno)
else()
  set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
  set(warnings -Wall -Wextra)
  set(exact_arithmetic -ffp-contract=off -fno-math-errno)
endif()
