package flatpoint

import "fmt"

// Code tells what kind of thing went wrong; its text is the same in every flatpoint reader.
type Code string

const (
	NotFound     Code = "not_found"
	IO           Code = "io"
	NotFlatpoint Code = "not_flatpoint"
	Truncated    Code = "truncated"
	Version      Code = "version"
	Corrupt      Code = "corrupt"
	TooLarge     Code = "too_large"

	InvalidArgument Code = "invalid_argument" // a box outside its tensor
	NotPlain        Code = "not_plain"        // where a chunk's elements begin is not known
	Holes           Code = "holes"            // no chunk holds some of the elements
	Changed         Code = "changed"          // a data file is not the one that the metadata speaks of
	Checksum        Code = "checksum"
	Outside         Code = "outside" // the path of a data file leaves the checkpoint's folder
)

// Error is what every call of this package returns where it fails: a code for programs, a message for people.
type Error struct {
	Code    Code
	Message string
	cause   error
}

// Unwrap is what the system said, where it did: errors.Is(err, fs.ErrNotExist).
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) Error() string { return e.Message }

func fail(code Code, format string, arguments ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, arguments...)}
}

// caused is an error of the system, seen from here.
func caused(code Code, cause error) *Error {
	return &Error{Code: code, Message: cause.Error(), cause: cause}
}

func corrupt(format string, arguments ...any) *Error { return fail(Corrupt, format, arguments...) }
