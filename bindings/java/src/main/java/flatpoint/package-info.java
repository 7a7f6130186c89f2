/**
 * Reads flatpoint metadata files in place: which tensors a sharded checkpoint holds, how they are
 * cut, and where each piece lies. Start with {@link flatpoint.MetadataFile}.
 *
 * <p>Opening checks the shape of the file (rules F1 to F8 of docs/format.md) at the same cost for
 * any size. Look-ups check the ranges that they follow: whatever the bytes are, they answer or
 * throw a {@link flatpoint.FlatpointException}, and never read outside the file.
 */
package flatpoint;
