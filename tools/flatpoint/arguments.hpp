// arguments.hpp - arguments that several verbs take.
#pragma once

#include <string>

#include "command_line.hpp"

namespace flatpoint::tool {

/// Adds the argument CKPT.
inline void add_checkpoint(Command& command, std::string& path) {
  command
      .add_option("CKPT", path,
                  "A checkpoint's folder, a .metadata, a flatpoint or .safetensors file; - is standard input")
      .required();
}

}  // namespace flatpoint::tool
