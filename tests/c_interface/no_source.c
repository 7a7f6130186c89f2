/* A shared library of others' objects needs a source of its own. */
typedef int flatpoint_no_source;
