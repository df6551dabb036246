package download

import "fmt"

// checkProgress reports what is impossible in a server's answer about id,
// wrapping ErrProtocol.
func checkProgress(p Progress, id ID) error {
	switch p.Status {
	case StatusPending, StatusInProgress, StatusDone, StatusCancelled, StatusTooLarge, StatusExpired:
	default:
		return fmt.Errorf("status %.40q: %w", string(p.Status), ErrProtocol)
	}
	if _, err := ParseID(string(p.ID)); err != nil {
		return fmt.Errorf("download id %.64q: %w", string(p.ID), ErrProtocol)
	}
	if p.ID != id {
		return fmt.Errorf("answer about %s when asked for %s: %w", p.ID, id, ErrProtocol)
	}
	if p.BytesAdded < 0 || p.TotalBytes < 0 || p.FilesAdded < 0 || p.TotalFiles < 0 {
		return fmt.Errorf("negative counter: %w", ErrProtocol)
	}
	return nil
}
