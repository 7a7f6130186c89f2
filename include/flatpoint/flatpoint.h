/* flatpoint/flatpoint.h - reads checkpoints from any language that can call C. Library: flatpoint_data.
 *
 *   flatpoint_error error;
 *   flatpoint_entry entry;
 *   flatpoint_checkpoint* checkpoint = flatpoint_open("ckpt/", NULL, &error);
 *   if (checkpoint == NULL || flatpoint_find(checkpoint, "model.weight", 12, &entry, &error) != FLATPOINT_OK ||
 *       flatpoint_read(checkpoint, entry.number, NULL, NULL, memory, size, NULL, 1, &error) != FLATPOINT_OK)
 *     puts(error.message);
 *   flatpoint_close(checkpoint);
 *
 * Errors: a call returns FLATPOINT_OK or a code, and leaves the code and a text in `*error`, memory of the caller,
 * where `error` is not NULL. No exception leaves a call, and none prints or ends the program.
 *
 * Threads: any number may use one checkpoint at once. flatpoint_close comes after all other calls.
 *
 * Texts are UTF-8, are not terminated, and may hold NUL; those handed out live as long as their checkpoint.
 *
 * Before 1.0 a minor release may change this interface, and with it the name of the shared library.
 */
#ifndef FLATPOINT_FLATPOINT_H
#define FLATPOINT_FLATPOINT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* flatpoint::ErrorCode; flatpoint/error.hpp says what each is. */
enum {
  FLATPOINT_OK = 0,
  FLATPOINT_NOT_FOUND = 1,
  FLATPOINT_IO = 2,
  FLATPOINT_NOT_FLATPOINT = 3,
  FLATPOINT_TRUNCATED = 4,
  FLATPOINT_VERSION = 5,
  FLATPOINT_CORRUPT = 6,
  FLATPOINT_TOO_LARGE = 7,
  FLATPOINT_INVALID_ARGUMENT = 8,
  FLATPOINT_CONFLICT = 9,
  FLATPOINT_NOT_PICKLE = 10,
  FLATPOINT_BAD_PICKLE = 11,
  FLATPOINT_AMBIGUOUS = 12,
  FLATPOINT_OPAQUE_RECORDS = 13,
  FLATPOINT_STALE = 14,
  FLATPOINT_NOT_PLAIN = 32,
  FLATPOINT_BAD_ITEM = 33,
  FLATPOINT_DTYPE_MISMATCH = 34,
  FLATPOINT_SIZE_MISMATCH = 35,
  FLATPOINT_CHANGED = 36,
  FLATPOINT_HOLES = 37,
  FLATPOINT_CHECKSUM = 38,
  FLATPOINT_UNKNOWN_TRANSFORM = 39,
  FLATPOINT_OUTSIDE = 40,
  FLATPOINT_NO_ROOM = 255 /* of this interface alone: the caller's array is too small; how large it has to be is told */
};

typedef struct flatpoint_error {
  int32_t code;
  char message[1020]; /* terminated; cut where it is longer */
} flatpoint_error;

typedef struct flatpoint_text {
  const char* data;
  size_t length;
} flatpoint_text;

/* A checkpoint that lies open: its metadata, and its data files as they are asked for. */
typedef struct flatpoint_checkpoint flatpoint_checkpoint;

enum {
  FLATPOINT_OF_RANK = 1,      /* `rank` says which __R.metadata of a save without collectives */
  FLATPOINT_ALLOW_OUTSIDE = 2 /* read data files that lie outside the checkpoint's folder */
};

typedef struct flatpoint_options {
  uint32_t flags;
  uint32_t rank;
  uint32_t max_open_files; /* 0: 256 */
} flatpoint_options;

/* Opens what flatpoint::dcp::open_checkpoint does: a folder, a `.metadata`, a flatpoint file, safetensors files. `path`
 * is terminated; `options` may be NULL. NULL where it fails. */
flatpoint_checkpoint* flatpoint_open(const char* path, const flatpoint_options* options, flatpoint_error* error);
/* NULL is no checkpoint, and nothing is done. */
void flatpoint_close(flatpoint_checkpoint* checkpoint);

enum { FLATPOINT_TENSOR = 0, FLATPOINT_BYTES = 1, FLATPOINT_OPAQUE = 2 };

/* One FQN. */
typedef struct flatpoint_entry {
  uint32_t number; /* position in the order of the FQNs' bytes */
  uint32_t kind;
  flatpoint_text fqn;
  flatpoint_text dtype; /* of tensors, as the following: torch's name without "torch." */
  uint32_t item_size;   /* bytes of an element; 0: unknown */
  uint32_t ndim;
  const int64_t* size; /* `ndim` numbers of elements */
  uint64_t bytes;      /* of all elements; 0 also where item_size is, or they exceed 2^63 */
} flatpoint_entry;

uint32_t flatpoint_entry_count(const flatpoint_checkpoint* checkpoint);
/* The entry of a number. Fails with INVALID_ARGUMENT, CORRUPT. */
int32_t flatpoint_get(const flatpoint_checkpoint* checkpoint, uint32_t number, flatpoint_entry* entry,
                      flatpoint_error* error);
/* The entry of an FQN. Fails with NOT_FOUND, CORRUPT. */
int32_t flatpoint_find(const flatpoint_checkpoint* checkpoint, const char* fqn, size_t fqn_length,
                       flatpoint_entry* entry, flatpoint_error* error);

/* A data file as the metadata knows it. */
typedef struct flatpoint_file {
  flatpoint_text relative_path; /* to the folder; a hostile one may be "../x" or "/x" */
  uint64_t length;              /* bytes; all ones: unknown */
  int64_t modified_ns;          /* since 1970; 0: unknown */
} flatpoint_file;

uint32_t flatpoint_file_count(const flatpoint_checkpoint* checkpoint);
/* The folder that relative paths start from. */
flatpoint_text flatpoint_folder(const flatpoint_checkpoint* checkpoint);
/* Fails with INVALID_ARGUMENT, CORRUPT. */
int32_t flatpoint_get_file(const flatpoint_checkpoint* checkpoint, uint32_t number, flatpoint_file* file,
                           flatpoint_error* error);

/* `length` bytes from `byte_offset` of a data file on are those of a box from `box_offset` on, where it lies row-major
 * without gaps. */
typedef struct flatpoint_range {
  uint32_t file;
  uint64_t byte_offset;
  uint64_t length;
  uint64_t box_offset;
} flatpoint_range;

/* The ranges of a box of tensor `number`: first element `offsets`, elements `sizes`, one of each per dimension; both
 * NULL: all of the tensor. `*count` is the room of `ranges` and becomes their number, also with NO_ROOM. Looks into a
 * data file only where the metadata does not know where a chunk's data begin. Whoever reads the ranges compares the
 * length and time of a file first. Fails as flatpoint_read. */
int32_t flatpoint_ranges(const flatpoint_checkpoint* checkpoint, uint32_t number, const int64_t* offsets,
                         const int64_t* sizes, flatpoint_range* ranges, size_t* count, flatpoint_error* error);

/* Reads a box, by `threads` (0 is 1) at once where several chunks have a part of it. `byte_strides`: from one element
 * to the next in each dimension; NULL: row-major without gaps. The box has to fit into the `room` bytes from `to` on,
 * so strides are not negative. After an error the memory holds anything. Fails with INVALID_ARGUMENT (no tensor, a box
 * outside it, no such room), HOLES, NOT_PLAIN, and the others of flatpoint::data::Reader. */
int32_t flatpoint_read(const flatpoint_checkpoint* checkpoint, uint32_t number, const int64_t* offsets,
                       const int64_t* sizes, void* to, size_t room, const int64_t* byte_strides, uint32_t threads,
                       flatpoint_error* error);

/* A bytes item that is a plain Python value, as JSON; nothing of it is executed. `*length` is the room of `text` and
 * becomes the length of the JSON, also with NO_ROOM. Fails with INVALID_ARGUMENT (no bytes item), NOT_PLAIN, ... */
int32_t flatpoint_value(const flatpoint_checkpoint* checkpoint, uint32_t number, char* text, size_t* length,
                        flatpoint_error* error);

#ifdef __cplusplus
}
#endif

#endif /* FLATPOINT_FLATPOINT_H */
