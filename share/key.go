package share

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"filippo.io/age"
)

// Key encrypts what mounts write to a store, and decrypts what they read from it. It is
// an identity of age (age-encryption.org), or several of them. Printing, logging or
// encoding it gives a placeholder.
type Key struct {
	identities []age.Identity
	recipient  *age.X25519Recipient // of the first identity: what is written is for it
}

// errNotKey says no more, since a part of a key may be in what cannot be parsed.
var errNotKey = errors.New("it does not hold lines that begin with AGE-SECRET-KEY-1, as 'downloadfs share keygen' and age-keygen write them")

// ParseKey reads a file as NewKey and age-keygen write it: an identity a line, empty
// lines, and comments after '#'. The first identity encrypts, all of them decrypt. The
// error never repeats what is in the file.
func ParseKey(r io.Reader) (*Key, error) {
	identities, err := age.ParseIdentities(r)
	if err != nil {
		return nil, errNotKey
	}
	k := &Key{identities: identities}
	for i, id := range identities {
		id, ok := id.(*age.X25519Identity)
		if !ok { // what it encrypts has another length
			return nil, errNotKey
		}
		if i == 0 {
			k.recipient = id.Recipient()
		}
	}
	return k, nil
}

// NewKey returns the text of a file with a new key.
func NewKey() ([]byte, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "# The key of a share of downloadfs. Who has it can read and write what is there.\n%s\n", id), nil
}

const redacted = "[redacted]"

// Format writes a placeholder for every verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns a placeholder.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a placeholder; JSON uses it too.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
