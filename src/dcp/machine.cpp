#include "dcp/machine.hpp"

#include "pickle/machine.ipp"

template class flatpoint::pickle::Machine<flatpoint::dcp::FastLane>;
