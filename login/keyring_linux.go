package login

import (
	"errors"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"
)

// keyringKeys returns the keys of our entries in the Secret Service, which the library
// does not tell. The library calls a key a user name.
func keyringKeys() ([]string, error) {
	svc, err := ss.NewSecretService()
	if err != nil {
		return nil, err
	}
	collection := svc.GetLoginCollection()
	if err := svc.Unlock(collection.Path()); err != nil {
		return nil, err
	}
	items, err := svc.SearchItems(collection, map[string]string{"service": keyringService})
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, item := range items {
		var of map[string]string
		err := svc.Object("org.freedesktop.secrets", item).StoreProperty("org.freedesktop.Secret.Item.Attributes", &of)
		if _, gone := errors.AsType[dbus.Error](err); gone {
			continue // another process has removed it
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, of["username"])
	}
	return keys, nil
}
