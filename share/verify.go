package share

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"

	"downloadfs/download"
)

// Damage is an object that is not what it should be.
type Damage struct {
	Account string
	ID      download.ID
	Key     string
	Err     error
}

// Verification is what Verify found.
type Verification struct {
	Archives int
	Bytes    int64 // read
	Damaged  []Damage
	// Locked is how many archives were not read, because they are encrypted with a key
	// that was not given.
	Locked int
	// Unmarked is how many were not read, because their accounts have no format object.
	Unmarked int
}

// Verify reads every archive of a store and compares it with its checksums. It deletes
// pieces that are damaged, and with them the archive's claim to be whole. The next
// mount that reads the archive then puts the rest into the store again, if the content
// server or its cache still has it. What key does not open, which may be nil, it leaves
// alone.
func Verify(ctx context.Context, store Store, key *Key) (v Verification, err error) {
	objects, err := store.List(ctx, versionPrefix)
	if err != nil {
		return v, fmt.Errorf("verify the share: %w", err)
	}
	found, _ := inventory("", objects)
	open := openAccounts(store, key)
	for _, a := range found {
		account, err := open.open(ctx, a.Account)
		if err != nil {
			return v, fmt.Errorf("verify the share: %w", err)
		}
		if account == nil {
			if open.unmarked[a.Account] {
				v.Unmarked++
			} else {
				v.Locked++
			}
			continue
		}
		v.Archives++
		damaged, n, err := verify(ctx, account, a)
		v.Bytes += n
		if errors.Is(err, errOtherKey) {
			v.Archives, v.Locked = v.Archives-1, v.Locked+1
			continue
		}
		if err != nil {
			return v, fmt.Errorf("verify the share: %w", err)
		}
		v.Damaged = append(v.Damaged, damaged...)
		if len(damaged) == 0 {
			continue
		}
		keys := []string{Prefix(a.Account) + "/" + doneKey(a.ID)} // first: nobody is to rely on it
		for _, d := range damaged {
			keys = append(keys, d.Key)
		}
		for _, key := range keys {
			if err := store.Delete(ctx, key); err != nil {
				return v, fmt.Errorf("verify the share: %w", err)
			}
		}
	}
	return v, nil
}

// verify reads one archive. It returns errOtherKey if some of it is encrypted with
// another key.
func verify(ctx context.Context, account Store, a *Archive) (damaged []Damage, n int64, err error) {
	bad := func(key string, err error) {
		damaged = append(damaged, Damage{a.Account, a.ID, key, err})
	}
	prefix := Prefix(a.Account) + "/"
	var m manifest
	if a.Whole {
		if m, err = readManifest(ctx, account, a); errors.Is(err, errDamaged) {
			bad(prefix+doneKey(a.ID), err)
			a.Whole = false
		} else if errors.Is(err, iofs.ErrNotExist) {
			a.Whole = false // deleted since it was listed
		} else if err != nil {
			return nil, 0, err
		}
	}
	there := make(map[string]bool)
	for _, key := range a.keys {
		there[key] = true
		if strings.HasSuffix(key, "/done") {
			continue
		}
		h, read, err := verifyPiece(ctx, account, strings.TrimPrefix(key, prefix))
		n += read
		if err == nil {
			info := download.ArchiveInfo{ID: a.ID, Size: h.size}
			if a.Whole {
				info = m.info()
			}
			if err = h.check(a.Account, info, newLayout(info.Size), h.piece); err == nil && prefix+pieceKey(a.ID, h.piece) != key {
				err = fmt.Errorf("it is piece %d: %w", h.piece, errDamaged)
			}
		}
		switch {
		case errors.Is(err, errDamaged):
			bad(key, err)
		case errors.Is(err, iofs.ErrNotExist):
		case err != nil:
			return nil, n, err
		}
	}
	if a.Whole {
		for k := range newLayout(m.Size).pieces {
			if key := prefix + pieceKey(a.ID, k); !there[key] {
				bad(key, fmt.Errorf("it is missing: %w", errDamaged))
			}
		}
	}
	return damaged, n, nil
}

// verifyPiece reads a piece. Its error is errDamaged if its bytes are not those that
// were written.
func verifyPiece(ctx context.Context, account Store, key string) (h header, n int64, err error) {
	rc, err := account.Open(ctx, key, 0, -1)
	if err != nil {
		return h, 0, err
	}
	defer rc.Close()
	read := func(p []byte) error {
		got, err := io.ReadFull(rc, p)
		n += int64(got)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return fmt.Errorf("it is too short: %w", errDamaged)
		}
		return err
	}
	p := make([]byte, headerLen)
	if err := read(p); err != nil {
		return h, n, err
	}
	if h, err = decodeHeader(p); err != nil {
		return h, n, err
	}
	if h.size <= 0 || h.size > maxBlocks*blockSize || h.piece < 0 || h.piece >= newLayout(h.size).pieces {
		return h, n, fmt.Errorf("its numbers are impossible: %w", errDamaged)
	}
	l := newLayout(h.size)
	from, to := l.span(h.piece)
	if len(h.sums) != to-from {
		return h, n, fmt.Errorf("it has %d sums: %w", len(h.sums), errDamaged)
	}
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	for b := from; b < to; b++ {
		p := block[:l.offset(b+1)-l.offset(b)]
		if err := read(p); err != nil {
			return h, n, err
		}
		if sum(p) != h.sums[b-from] {
			return h, n, fmt.Errorf("block %d: %w", b, errDamaged)
		}
	}
	return h, n, nil
}
