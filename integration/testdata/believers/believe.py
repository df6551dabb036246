"""Uses an archive in a way that Python programs do: believe.py WAY DIRECTORY.

What it has read goes into the file "got"."""
import http.client, mmap, os, shutil, sys, tarfile, zipfile

way, d = sys.argv[1:]
f = d + "/archive.zip"


def listed():
    os.listdir(d)
    return os.path.getsize(f)


def scanned():
    return next(e.stat().st_size for e in os.scandir(d) if e.name == "archive.zip")


def keep(data):
    with open("got", "wb") as out:
        out.write(data)


def read(size):
    with open(f, "rb") as src:
        keep(src.read(size))


def loop(size):
    fd, data = os.open(f, os.O_RDONLY), b""
    while len(data) < size and (part := os.read(fd, min(size - len(data), 1 << 16))):
        data += part
    keep(data)


def sendfile(size):
    fd, out = os.open(f, os.O_RDONLY), os.open("got", os.O_CREAT | os.O_WRONLY)
    while size > 0 and (n := os.sendfile(out, fd, None, size)):
        size -= n


def splice(size):
    fd, (r, w) = os.open(f, os.O_RDONLY), os.pipe()
    with open("got", "wb") as out:
        while size > 0 and (n := os.splice(fd, w, min(size, 1 << 16))):
            out.write(os.read(r, n))
            size -= n


def mapped(size):
    with open(f, "rb") as src:
        keep(mmap.mmap(src.fileno(), size, prot=mmap.PROT_READ)[:])


def strictly(size):
    with open(f, "rb") as src:
        data = src.read(size)
    if len(data) != size:
        sys.exit("%d bytes instead of %d" % (len(data), size))
    keep(data)


def upload(size):
    to = http.client.HTTPConnection(os.environ["SINK"], timeout=20)
    with open(f, "rb") as src:
        to.request("PUT", "/", src, {"Content-Length": str(size)})
    if (answer := to.getresponse()).status != 200:
        sys.exit("the server says %d" % answer.status)
    keep(answer.read())


def tar(add):
    with tarfile.open("got.tar", "w") as t:
        add(t)
    with tarfile.open("got.tar") as t:
        keep(t.extractfile("archive.zip").read())


def make_archive(form):
    with open(shutil.make_archive("made", form, d), "rb") as made:
        if form == "zip":
            keep(zipfile.ZipFile(made).read("archive.zip"))
        else:
            keep(tarfile.open(fileobj=made).extractfile("./archive.zip").read())


def copytree():
    shutil.copytree(d, "tree")
    os.rename("tree/archive.zip", "got")


def names():
    os.listdir(d)
    zipfile.ZipFile(f).testzip()
    shutil.copyfile(f, "got")


{
    "getsize": lambda: read(os.path.getsize(f)),
    "list-read": lambda: read(listed()),
    "list-strictly": lambda: strictly(listed()),
    "scan-loop": lambda: loop(scanned()),
    "list-sendfile": lambda: sendfile(listed()),
    "list-splice": lambda: splice(listed()),
    "list-mmap": lambda: mapped(listed()),
    "list-mmap-all": lambda: (listed(), mapped(0)),
    "list-upload": lambda: upload(listed()),
    "tar-list": lambda: tar(lambda t: t.add(d, "")),
    "tar-file": lambda: tar(lambda t: t.add(f, "archive.zip")),
    "make-zip": lambda: make_archive("zip"),
    "make-tar": lambda: make_archive("gztar"),
    "copytree": copytree,
    "list-zipfile": names,
}[way]()
