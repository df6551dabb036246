package download

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
)

// call makes a request that belongs to the manager. A panic becomes an error. If the
// request's own time limit ended it, the error is ErrUnavailable.
func (m *Manager) call(op string, id ID, request func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			m.log.Error("panic", "op", op, "download", id, "err", r, "stack", string(debug.Stack()))
			what := strings.TrimSpace(op + " " + string(id))
			err = &condition{plain(fmt.Sprintf("%s: %v (%v)", what, ErrInternal, r)), ErrInternal, plain(fmt.Sprint(r))}
		}
	}()
	err = request()
	if isAny(err, context.DeadlineExceeded, context.Canceled) && m.ctx.Err() == nil &&
		!isAny(err, ErrUnavailable, ErrUncertain, ErrUnauthorized, ErrProtocol) {
		// This is not the caller's context, which never gets here.
		err = &condition{plain(err.Error()), ErrUnavailable, Reason(err)}
	}
	return err
}
