package repository

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// apiError is an error that the caller sees as Alfresco's error body.
type apiError struct {
	status int
	key    string // errorKey; the message itself when empty
	msg    string
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.status, e.msg) }

func notFound(id string) *apiError {
	return &apiError{http.StatusNotFound, "framework.exception.EntityNotFound",
		fmt.Sprintf("The entity with id: %s was not found", id)}
}

func forbidden() *apiError {
	return &apiError{http.StatusForbidden, "framework.exception.PermissionDenied", "Permission was denied"}
}

func badRequest(format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, msg: fmt.Sprintf(format, args...)}
}

func unsupported() *apiError {
	return &apiError{http.StatusMethodNotAllowed, "framework.exception.UnsupportedResourceOperation",
		"The operation is unsupported"}
}

func internal(format string, args ...any) *apiError {
	return &apiError{status: http.StatusInternalServerError, msg: fmt.Sprintf(format, args...)}
}

func unauthorized() *apiError {
	return &apiError{status: http.StatusUnauthorized,
		msg: "Authentication failed for Web Script org/alfresco/api/ResourceWebScript.get"}
}

type errorBody struct {
	Error errorJSON `json:"error"`
}

type errorJSON struct {
	ErrorKey       string `json:"errorKey"`
	StatusCode     int    `json:"statusCode"`
	BriefSummary   string `json:"briefSummary"`
	StackTrace     string `json:"stackTrace"`
	DescriptionURL string `json:"descriptionURL"`
	LogID          string `json:"logId"`
}

// errorCount numbers the errors of a process, as Alfresco's log numbers do.
var errorCount atomic.Uint64

func writeError(w http.ResponseWriter, e *apiError) {
	key := e.key
	if key == "" {
		key = e.msg
	}
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Alfresco"`)
	}
	writeJSON(w, e.status, errorBody{errorJSON{
		ErrorKey:       key,
		StatusCode:     e.status,
		BriefSummary:   fmt.Sprintf("%s%04d %s", time.Now().UTC().Format("0102"), errorCount.Add(1)%10000, e.msg),
		StackTrace:     "For security reasons the stack trace is no longer displayed, but the property is kept for previous versions.",
		DescriptionURL: "https://api-explorer.alfresco.com",
		LogID:          uuid.NewString(),
	}})
}
