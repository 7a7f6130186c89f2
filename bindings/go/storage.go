package flatpoint

// StorageInfo is _StorageInfo: the bytes [ByteOffset, ByteOffset + Length) of a data file.
type StorageInfo struct {
	File                 uint32 // its number, for grouping
	RelativePath         string
	ByteOffset, Length   uint64
	TransformDescriptors []string // in DCP's stored order; nil is None
}

// storageAt checks rule E6; false without storage information.
func storageAt(c *Columns, row, lengthAt uint64) (StorageInfo, bool, error) {
	broken := func() (StorageInfo, bool, error) {
		return StorageInfo{}, false, corrupt("E6: storage information of row %d", row)
	}
	if row >= uint64(len(c.ChunkFiles)) {
		return broken()
	}
	file := c.ChunkFiles[row]
	if file == noFile {
		return StorageInfo{}, false, nil
	}
	path, ok := c.FileNames.Text(uint64(file))
	if !ok || row >= uint64(len(c.ChunkByteOffsets)) || lengthAt >= uint64(len(c.ChunkLengths)) {
		return broken()
	}
	info := StorageInfo{File: file, RelativePath: string(path), ByteOffset: c.ChunkByteOffsets[row], Length: c.ChunkLengths[lengthAt]}
	if len(c.ChunkTransforms) > 0 && c.ChunkTransforms[row] != 0 {
		if info.TransformDescriptors, ok = transforms(c, int(c.ChunkTransforms[row])-1); !ok {
			return broken()
		}
	}
	return info, true, nil
}

func transforms(c *Columns, list int) ([]string, bool) {
	if list >= len(c.TransformLists) {
		return nil, false
	}
	begin, end := uint32(0), c.TransformLists[list].TextEnd
	if list > 0 {
		begin = c.TransformLists[list-1].TextEnd
	}
	if begin > end || uint64(end) > uint64(len(c.TransformNames.Ends)) {
		return nil, false
	}
	descriptors := make([]string, 0, end-begin)
	for i := begin; i < end; i++ {
		text, _ := c.TransformNames.Text(uint64(i))
		descriptors = append(descriptors, string(text))
	}
	return descriptors, true
}
