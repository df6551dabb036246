package share

import "errors"

// ErrKey means that an account's part of a store is encrypted with another key than
// this mount has, or that one of them has a key and the other has none. The error's
// text says which.
var ErrKey = errors.New("the key is not that of the share")

// keyError is an ErrKey with its own text.
type keyError string

func (e keyError) Error() string        { return string(e) }
func (e keyError) Is(target error) bool { return target == ErrKey }

const (
	encryptedShare = keyError("the share is encrypted; mount with its --share-key-file")
	notEncrypted   = keyError("the share is not encrypted, and --share-key-file is given; leave that out, or begin another share")
)

var (
	// errDamaged means that an object is not what its key promises.
	errDamaged = errors.New("damaged in the store")
	// errOtherKey means that an object was encrypted with another key.
	errOtherKey = errors.New("encrypted with another key")
	// errDown means that the store failed a moment ago and is left alone for a while.
	errDown = errors.New("the store is left alone for a while")
	// errSlow means that the store did not answer in time.
	errSlow = errors.New("the store does not answer in time")
	// errNoRoom means that an archive has no place in the share.
	errNoRoom = errors.New("it does not fit into the share")
	// errSource means that an archive cannot be read that is to be put into the share.
	errSource = errors.New("the archive cannot be read")
	// errReplaced means that another store has taken the place of the one that is used.
	errReplaced = errors.New("another directory has taken the place of the shared one")
	// errLost means that another mount has taken over a lease.
	errLost = errors.New("another mount has the lease")
)
