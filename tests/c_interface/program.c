/* What a C program does: opens, lists, reads, and is told what is wrong. program CHECKPOINT */
#include <flatpoint/flatpoint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char* what, const flatpoint_error* error) {
  fprintf(stderr, "%s: %d: %s\n", what, (int)error->code, error->message);
  return EXIT_FAILURE;
}

int main(int argc, char** argv) {
  flatpoint_error error;
  flatpoint_checkpoint* checkpoint;
  uint64_t sum = 0;
  if (argc != 2) return EXIT_FAILURE;
  checkpoint = flatpoint_open(argv[1], NULL, &error);
  if (checkpoint == NULL) return complain("open", &error);
  for (uint32_t i = 0; i < flatpoint_entry_count(checkpoint); ++i) {
    flatpoint_entry entry;
    flatpoint_entry found;
    unsigned char* bytes;
    if (flatpoint_get(checkpoint, i, &entry, &error) != FLATPOINT_OK) return complain("get", &error);
    if (flatpoint_find(checkpoint, entry.fqn.data, entry.fqn.length, &found, &error) != FLATPOINT_OK ||
        found.number != i)
      return complain("find", &error);
    if (entry.kind != FLATPOINT_TENSOR) continue;
    bytes = malloc(entry.bytes + 1);
    if (bytes == NULL) return EXIT_FAILURE;
    bytes[entry.bytes] = 'x';
    if (flatpoint_read(checkpoint, i, NULL, NULL, bytes, entry.bytes, NULL, 2, &error) != FLATPOINT_OK)
      return complain("read", &error);
    if (bytes[entry.bytes] != 'x') return EXIT_FAILURE;
    sum += entry.bytes;
    free(bytes);
  }
  if (sum == 0) return EXIT_FAILURE;
  flatpoint_close(checkpoint);
  flatpoint_close(NULL);
  if (flatpoint_open("no such folder", NULL, &error) != NULL || error.code != FLATPOINT_NOT_FOUND ||
      strstr(error.message, "no such folder") == NULL || flatpoint_open("no such folder", NULL, NULL) != NULL)
    return complain("what is not there", &error);
  return EXIT_SUCCESS;
}
