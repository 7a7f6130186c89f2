#include "pickle/machine.ipp"

namespace flatpoint::pickle {

template class Machine<NoFolds>;

}  // namespace flatpoint::pickle
