package decode

import "fmt"

// Error says why decode refused its input. The module gives its number.
type Error int32

// The errors.
const (
	ErrTruncated  Error = -1 - iota // the input ends too soon
	ErrMagic                        // no frame begins where one should
	ErrHeader                       // a reserved bit of a frame's header is set
	ErrDictionary                   // the frame needs a dictionary
	ErrWindow                       // the window is larger than 16 MiB or smaller than 1 KiB
	ErrRoom                         // the output is larger than the room for it
	ErrSize                         // the output has not the size that the frame's header says
	ErrChecksum                     // the output has not the checksum that the frame says
	ErrBlock                        // a block's type is reserved, or its size against the rules
	ErrLiterals                     // the literals are not as long as they should be, or have no table
	ErrHuffman                      // the description of a Huffman table is none
	ErrStream                       // a bitstream is not used up to its last bit
	ErrTable                        // the description of a table of sequences is none
	ErrSequence                     // a sequence copies more than there is
	ErrZeroOffset                   // a sequence repeats an offset of zero
	ErrTail                         // something follows the frame
)

var messages = [...]string{"the input ends too soon", "no frame begins where one should", "a reserved bit is set in a frame's header",
	"the frame needs a dictionary", "the window's size is out of bounds", "the output is larger than the room for it",
	"the output has not the size that the header says", "the checksum does not match", "a block's header is wrong",
	"the literals' header is wrong", "a Huffman table is wrong", "a bitstream is not used up to its last bit",
	"a table of sequences is wrong", "a sequence copies more than there is", "a sequence repeats an offset of zero", "something follows the frame"}

// Error is a sentence's end.
func (e Error) Error() string {
	if i := -1 - int(e); i >= 0 && i < len(messages) {
		return "zstd: " + messages[i]
	}
	return fmt.Sprintf("zstd: error %d", int(e))
}
