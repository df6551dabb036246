package repository

import (
	"path"
	"strings"
)

const mimeBinary = "application/octet-stream"

// mimeTypes are the types that Alfresco derives from file extensions. The system's
// own table is not used: answers must not depend on the machine.
var mimeTypes = map[string]string{
	".avi": "video/x-msvideo", ".bmp": "image/bmp", ".bz2": "application/x-bzip2", ".css": "text/css",
	".csv": "text/csv", ".doc": "application/msword",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".eml":  "message/rfc822", ".epub": "application/epub+zip", ".gif": "image/gif", ".gz": "application/x-gzip",
	".htm": "text/html", ".html": "text/html", ".jpeg": "image/jpeg", ".jpg": "image/jpeg",
	".js": "application/x-javascript", ".json": "application/json", ".md": "text/x-markdown", ".mov": "video/quicktime",
	".mp3": "audio/mpeg", ".mp4": "video/mp4", ".odp": "application/vnd.oasis.opendocument.presentation",
	".ods": "application/vnd.oasis.opendocument.spreadsheet", ".odt": "application/vnd.oasis.opendocument.text",
	".pdf": "application/pdf", ".png": "image/png", ".ppt": "application/vnd.ms-powerpoint",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".rtf":  "application/rtf", ".svg": "image/svg+xml", ".tar": "application/x-tar", ".tif": "image/tiff",
	".tiff": "image/tiff", ".txt": "text/plain", ".wav": "audio/x-wav", ".webp": "image/webp",
	".xls":  "application/vnd.ms-excel",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".xml":  "text/xml", ".zip": "application/zip",
}

// mimeNames are Alfresco's names for the types.
var mimeNames = map[string]string{
	mimeBinary: "Binary File (Octet Stream)", "application/json": "JSON", "application/msword": "Microsoft Word",
	"application/pdf": "Adobe PDF Document", "application/zip": "ZIP", "audio/mpeg": "MPEG Audio",
	"audio/x-wav": "WAV Audio", "image/bmp": "Bitmap Image", "image/gif": "GIF Image", "image/jpeg": "JPEG Image",
	"image/png": "PNG Image", "image/svg+xml": "Scalable Vector Graphics Image", "image/tiff": "TIFF Image",
	"text/css": "Style Sheet", "text/csv": "Comma Separated Values (CSV)", "text/html": "HTML",
	"text/plain": "Plain Text", "text/x-markdown": "Markdown", "text/xml": "XML", "video/mp4": "MPEG4 Video",
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": "Microsoft PowerPoint 2007",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         "Microsoft Excel 2007",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   "Microsoft Word 2007",
}

// mimeType returns the type of a file by its name.
func mimeType(name string) string {
	if t, ok := mimeTypes[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	return mimeBinary
}

// mimeTypeName returns the name that people use for the type. A type without a name
// is its own name.
func mimeTypeName(t string) string {
	if name, ok := mimeNames[t]; ok {
		return name
	}
	return t
}
