# cmake -DREADME=… -DEXAMPLE=… -P readme.cmake: the README must hold the example word for word.
file(READ "${README}" readme)
file(READ "${EXAMPLE}" example)
string(FIND "${readme}" "```cpp\n${example}```" at)
if(at EQUAL -1)
  message(FATAL_ERROR "README.md no longer shows ${EXAMPLE}: copy the file into its ```cpp block")
endif()
