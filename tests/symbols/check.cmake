# Every symbol that the objects of a CPU target share with the rest of the program must carry the
# target's name: of two inline functions with one name the linker keeps one, perhaps the one compiled
# for a processor wider than the user's. Broken by a loop that calls an inline function of the
# standard library, or by a codec outside quant's per-target namespace.
#   cmake -DNM=nm -DTARGET=avx2 -DOBJECTS=a.o,b.o -P check.cmake
string(REPLACE "," ";" objects "${OBJECTS}")
execute_process(COMMAND "${NM}" -C --defined-only --extern-only ${objects}
                OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE ";" "," symbols "${symbols}")
string(REPLACE "\n" ";" symbols "${symbols}")
set(checked 0)
set(foreign "")
foreach(symbol IN LISTS symbols)
  if(NOT symbol MATCHES "^[0-9a-f]+ [A-Za-z] ")
    continue()  # an empty line or a file's name
  endif()
  math(EXPR checked "${checked} + 1")
  if(symbol MATCHES "::${TARGET}::|::isa_${TARGET}::" OR symbol MATCHES " V DW\\.ref\\.")
    continue()  # the target's own; or the address of the exception personality, which is no code
  endif()
  list(APPEND foreign "${symbol}")
endforeach()
if(checked EQUAL 0)
  message(FATAL_ERROR "no symbols in ${OBJECTS}: this test looked at nothing")
endif()
if(foreign)
  list(JOIN foreign "\n  " text)
  message(FATAL_ERROR "compiled for ${TARGET} under a name that other targets share:\n  ${text}")
endif()
message(STATUS "${checked} symbols of ${TARGET}, all its own")
