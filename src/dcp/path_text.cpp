// dcp/path_text.cpp - what `str` says of a path of pathlib. Python 3.12 pickles its parts, 3.13 the texts it was made
// of.
#include <algorithm>
#include <string>

#include "dcp/shapes.hpp"

namespace flatpoint::dcp {
namespace {

/// Components without the empty ones and ".", joined.
std::string join_components(std::string_view path, char separator) {
  std::string joined;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(separator), path.size());
    const std::string_view component = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (component.empty() || component == ".") continue;
    if (!joined.empty()) joined.push_back(separator);
    joined.append(component);
  }
  return joined;
}

std::string posix_text(std::span<const std::string_view> segments) {
  std::string path;
  for (const std::string_view segment : segments) {
    if (segment.starts_with('/')) {
      path = segment;
    } else {
      if (!path.empty() && !path.ends_with('/')) path.push_back('/');
      path.append(segment);
    }
  }
  const std::size_t slashes = std::min(path.find_first_not_of('/'), path.size());
  const std::string root(slashes == 2 ? 2 : std::min<std::size_t>(slashes, 1), '/');  // "//" is a root of its own
  const std::string text = root + join_components(path, '/');
  return text.empty() ? "." : text;
}

/// Drive letters only: shares and devices have rules of their own.
std::optional<std::string> windows_text(std::span<const std::string_view> segments) {
  std::string path;
  for (const std::string_view segment : segments) {
    const bool absolute =
        segment.starts_with('\\') || segment.starts_with('/') || (segment.size() > 1 && segment[1] == ':');
    if (absolute && !path.empty()) return std::nullopt;
    if (!path.empty() && !path.ends_with('\\') && !(path.size() == 2 && path[1] == ':')) path.push_back('\\');
    const std::size_t begin = path.size();
    path.append(segment);
    std::replace(path.begin() + static_cast<std::ptrdiff_t>(begin), path.end(), '/', '\\');
  }
  if (path.starts_with("\\\\")) return std::nullopt;
  const std::size_t drive = path.size() >= 2 && path[1] == ':' ? 2 : 0;
  const bool rooted = path.size() > drive && path[drive] == '\\';
  const std::string text =
      path.substr(0, drive) + (rooted ? "\\" : "") + join_components(std::string_view(path).substr(drive), '\\');
  return text.empty() ? "." : text;
}

}  // namespace

std::optional<PathText> read_path(const Heap& heap, Value value) {
  if (!value.is(Tag::Object)) return std::nullopt;
  const auto* const object = value.node<Object>();
  if (object->kind != Object::Kind::Reduce || object->blocks.first != nullptr) return std::nullopt;
  std::vector<std::string_view> segments;
  for (const Value argument : object->args.node<Tuple>()->values()) {
    const auto text = heap.text(argument);
    if (!text) return std::nullopt;
    segments.push_back(*text);
  }
  const PathType type = path_type_of(heap.known(object->callable));
  switch (type) {
    case PathType::PosixPath:
    case PathType::PurePosixPath: return PathText{type, posix_text(segments)};
    case PathType::WindowsPath:
    case PathType::PureWindowsPath: {
      auto text = windows_text(segments);
      if (!text) return std::nullopt;
      return PathText{type, std::move(*text)};
    }
    default: return std::nullopt;
  }
}

}  // namespace flatpoint::dcp
