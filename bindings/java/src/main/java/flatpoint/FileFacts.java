package flatpoint;

import java.util.OptionalLong;

/**
 * A data file as it was when the begins of its chunks' data were read: length in bytes, nanoseconds
 * since 1970, and "unknown", "torch_save", "safetensors", "archive", "mixed" or "unknown:N".
 */
public record FileFacts(OptionalLong length, OptionalLong modifiedNs, String format) {}
