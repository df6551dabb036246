package download

import "fmt"

// checkProgress reports an impossible answer of the server about id, wrapping
// ErrProtocol.
func checkProgress(p Progress, id ID) error {
	switch p.Status {
	case StatusPending, StatusInProgress, StatusDone, StatusCancelled, StatusTooLarge, StatusExpired:
	default:
		return impossible("status %.40q", string(p.Status))
	}
	if _, err := ParseID(string(p.ID)); err != nil {
		return impossible("download id %.64q", string(p.ID))
	}
	if p.ID != id {
		return impossible("answer about %s when asked for %s", p.ID, id)
	}
	if p.BytesAdded < 0 || p.TotalBytes < 0 || p.FilesAdded < 0 || p.TotalFiles < 0 {
		return impossible("negative counter")
	}
	return nil
}

// impossible returns the error for an answer that no Alfresco server gives.
func impossible(format string, args ...any) error {
	what := plain(fmt.Sprintf(format, args...))
	return &condition{what + ": " + ErrProtocol.Error(), ErrProtocol, what}
}
