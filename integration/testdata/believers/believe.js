// Uses an archive in a way that Node programs do: believe.js WAY DIRECTORY.
// What it has read goes into the file "got".
const fs = require('fs'), http = require('http')
const [way, d] = process.argv.slice(2), f = d + '/archive.zip'

function fill (size) {
  const buffer = Buffer.alloc(size), fd = fs.openSync(f)
  return [buffer, fs.readSync(fd, buffer, 0, size, 0)]
}

// A server of static files, and a client that it sends the archive to.
function serve (look) {
  const server = http.createServer(async (_, res) => {
    const { size } = await look()
    res.setHeader('Content-Length', size)
    fs.createReadStream(f, { start: 0, end: size - 1 }).pipe(res)
  })
  server.listen(0, '127.0.0.1', () => http.get(server.address(), res => {
    res.on('error', fail)
    res.pipe(fs.createWriteStream('got')).on('finish', () => process.exit(res.complete ? 0 : 1))
  }).on('error', fail))
}

function fail (err) {
  console.error(err.message)
  process.exit(1)
}

const list = () => { fs.readdirSync(d); return fs.statSync(f).size }

;({
  'stat-fill': () => fs.writeFileSync('got', fill(fs.statSync(f).size)[0]),
  'list-fill': () => { const [b, n] = fill(list()); fs.writeFileSync('got', b.subarray(0, n)) },
  'list-fill-all': () => fs.writeFileSync('got', fill(list())[0]),
  'list-strictly': () => {
    const [b, n] = fill(list())
    if (n !== b.length) fail(new Error(`${n} bytes instead of ${b.length}`))
    fs.writeFileSync('got', b)
  },
  'list-stream': () => fs.createReadStream(f, { end: list() - 1 }).pipe(fs.createWriteStream('got')),
  'stat-serve': () => serve(() => fs.promises.stat(f)),
  'list-serve': () => serve(async () => { await fs.promises.readdir(d); return fs.promises.stat(f) }),
  'list-readFile': () => { list(); fs.writeFileSync('got', fs.readFileSync(f)) },
  cp: () => { fs.cpSync(d, 'tree', { recursive: true }); fs.renameSync('tree/archive.zip', 'got') }
})[way]()
