// Random metadata, odd in every way that the format allows. A seed gives one model.
#pragma once

#include <random>

#include "support/model.hpp"

namespace flatpoint::test {

Model random_model(std::mt19937_64& random);

}  // namespace flatpoint::test
