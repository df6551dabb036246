package share

import "errors"

var (
	// errDamaged means that an object is not what its key promises.
	errDamaged = errors.New("damaged in the store")
	// errDown means that the store failed a moment ago and is left alone for a while.
	errDown = errors.New("the store is left alone for a while")
	// errSlow means that the store did not answer in time.
	errSlow = errors.New("the store does not answer in time")
	// errLost means that another mount has taken over a lease.
	errLost = errors.New("another mount has the lease")
)
