#error "a public header other than generated.hpp reaches FlatBuffers"
