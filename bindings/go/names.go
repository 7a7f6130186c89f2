package flatpoint

import (
	"strconv"
	"strings"

	"example.org/flatpoint/generated/go/flatpoint/fb"
)

const other = 255 // the number that says: the name lies in type_names

// torch's names for the numbers of the schema, whose own names are torch's but for capitals.
var (
	dtypeNames  = lowered(fb.EnumNamesScalarType)
	layoutNames = func() map[uint8]string {
		names := lowered(fb.EnumNamesLayout)
		names[uint8(fb.LayoutMkldnn)] = "_mkldnn"
		return names
	}()
	memoryFormatNames = map[uint8]string{
		uint8(fb.MemoryFormatContiguous):    "contiguous_format",
		uint8(fb.MemoryFormatChannels_last): "channels_last",
		uint8(fb.MemoryFormatPreserve):      "preserve_format",
	}
)

// Bytes of an element, by number.
var itemSizes = [...]uint64{
	1, 1, 2, 4, 8, 2, 4, 8, 4, 8, 16, 1, 1, 1, 4, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 4, 8, // up to uint64
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, // below a byte
	1, 1, 4,
}

func lowered[E ~byte](names map[E]string) map[uint8]string {
	known := make(map[uint8]string, len(names))
	for number, name := range names {
		if uint8(number) != other {
			known[uint8(number)] = strings.ToLower(name)
		}
	}
	return known
}

// typeName returns torch's name of a number: a known one, for Other the one in type_names, or "unknown:N".
func typeName(c *Columns, known map[uint8]string, number uint8, name uint16) string {
	if number == other {
		if text, ok := c.TypeNames.Text(uint64(name)); ok && len(text) > 0 {
			return string(text)
		}
	}
	return knownName(known, number)
}

func knownName(known map[uint8]string, number uint8) string {
	if text, ok := known[number]; ok {
		return text
	}
	return "unknown:" + strconv.Itoa(int(number))
}
