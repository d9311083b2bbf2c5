# Layers: a folder, a library, and what it may include.
#
# A layer's sources see only the headers of the layers that it names in NEEDS: each layer has an include
# directory of its own with one link in it, so an include of any other layer does not compile. NEEDS may name
# only layers that stand before it in COVE_LAYERS.
set(COVE_LAYERS base rpc journal effect target chain property template image hypervisor machine metadata
                install instance builder)
set(COVE_LAYER_DIR ${CMAKE_SOURCE_DIR}/build/layers)  # shared by all presets, so that ccache finds equal paths

function(cove_options target)
  # These of g++ 12 misread what is inlined of kj::Own, kj::Maybe and std::string; clang and the sanitizers look for
  # the same.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wimplicit-fallthrough
                                           $<$<CXX_COMPILER_ID:GNU>:-Wno-nonnull;-Wno-maybe-uninitialized;-Wno-restrict>
                                           $<$<BOOL:${COVE_WERROR}>:-Werror>)
endfunction()

add_custom_target(programs)    # what ./try builds
add_custom_target(unit_tests)  # what runs under sanitizers, where static programs cannot be linked

# cove_tests(NAME LIBRARY file…): unit tests of one library.
function(cove_tests name library)
  if(NOT COVE_TESTS)
    return()
  endif()
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE ${library} GTest::gmock_main)
  cove_options(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_dependencies(unit_tests ${name})
  gtest_discover_tests(${name} TEST_PREFIX unit. DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()

# cove_layer(NAME NEEDS layer… LIBRARIES library… SOURCES file… TESTS file… SCHEMAS file.capnp…)
function(cove_layer name)
  cmake_parse_arguments(L "" "" "NEEDS;LIBRARIES;SOURCES;TESTS;SCHEMAS" ${ARGN})
  list(FIND COVE_LAYERS ${name} place)
  if(place LESS 0)
    message(FATAL_ERROR "layer ${name} is not in COVE_LAYERS")
  endif()
  set(needs)
  foreach(need ${L_NEEDS})
    list(FIND COVE_LAYERS ${need} other)
    if(other LESS 0 OR NOT other LESS place)
      message(FATAL_ERROR "layer ${name} may not include ${need}: it does not stand before it")
    endif()
    list(APPEND needs cove_${need})
  endforeach()
  file(MAKE_DIRECTORY ${COVE_LAYER_DIR}/${name})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${COVE_LAYER_DIR}/${name}/${name} SYMBOLIC)
  set(generated)
  foreach(schema ${L_SCHEMAS})
    list(APPEND generated ${COVE_GENERATED}/${name}/${schema}.c++)
  endforeach()
  if(L_SCHEMAS)
    set(outputs)
    foreach(schema ${L_SCHEMAS})
      list(APPEND outputs ${COVE_GENERATED}/${name}/${schema}.c++ ${COVE_GENERATED}/${name}/${schema}.h)
    endforeach()
    file(MAKE_DIRECTORY ${COVE_GENERATED}/${name} ${CMAKE_CURRENT_BINARY_DIR}/schemas)
    list(TRANSFORM outputs REPLACE ".*/" "${CMAKE_CURRENT_BINARY_DIR}/schemas/" OUTPUT_VARIABLE fresh)
    # Copied only where they differ: all presets share them, and none may make the others' objects out of date.
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND capnp compile -oc++:${CMAKE_CURRENT_BINARY_DIR}/schemas --src-prefix=. ${L_SCHEMAS}
      COMMAND ${CMAKE_COMMAND} -E copy_if_different ${fresh} ${COVE_GENERATED}/${name}
      WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
      DEPENDS ${L_SCHEMAS}
      COMMENT "Compiling schemas of ${name}")
    set_source_files_properties(${generated} PROPERTIES COMPILE_OPTIONS "-w")
  endif()
  add_library(cove_${name} STATIC ${L_SOURCES} ${generated})
  target_include_directories(cove_${name} PUBLIC ${COVE_LAYER_DIR}/${name})
  if(L_SCHEMAS)
    target_include_directories(cove_${name} SYSTEM PUBLIC ${COVE_GENERATED})
  endif()
  target_link_libraries(cove_${name} PUBLIC ${needs} ${L_LIBRARIES})
  cove_options(cove_${name})
  if(L_TESTS)
    cove_tests(${name}_test cove_${name} ${L_TESTS})
  endif()
endfunction()

# cove_program(NAME NEEDS layer… LIBRARIES library… SOURCES main.cc file… TESTS file… [STATIC])
#
# Everything but main.cc is a library, so that tests link it. Includes name the program's folder ("agent/boot.h");
# no program sees another's headers.
function(cove_program name)
  cmake_parse_arguments(P "STATIC" "" "NEEDS;LIBRARIES;SOURCES;TESTS" ${ARGN})
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  set(headers ${COVE_LAYER_DIR}/program-${folder})
  file(MAKE_DIRECTORY ${headers})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${headers}/${folder} SYMBOLIC)
  list(TRANSFORM P_NEEDS PREPEND cove_)
  list(REMOVE_ITEM P_SOURCES main.cc)
  add_executable(${name} main.cc)
  if(P_SOURCES)
    add_library(program_${folder} STATIC ${P_SOURCES})
    target_include_directories(program_${folder} PUBLIC ${headers})
    target_link_libraries(program_${folder} PUBLIC ${P_NEEDS} ${P_LIBRARIES})
    cove_options(program_${folder})
    target_link_libraries(${name} PRIVATE program_${folder})
  else()
    target_link_libraries(${name} PRIVATE ${P_NEEDS} ${P_LIBRARIES})
  endif()
  cove_options(${name})
  if(P_STATIC AND NOT COVE_SANITIZED)
    # Stripped in a release. KJ's resolver makes the linker warn that getaddrinfo() needs shared libraries at run
    # time: no static program of ours resolves names.
    target_link_options(${name} PRIVATE -static -Wl,--no-warnings $<$<CONFIG:Release>:-s>)
    set_target_properties(${name} PROPERTIES LINK_SEARCH_START_STATIC ON LINK_SEARCH_END_STATIC ON)
  elseif(NOT COVE_SANITIZED)
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  add_dependencies(programs ${name})
  if(P_TESTS)
    cove_tests(${folder}_test program_${folder} ${P_TESTS})
  endif()
endfunction()
