// The main function of every test program; compiled once.
#define BOOST_TEST_MODULE flatpoint
#include <boost/test/unit_test.hpp>
