// Drives a server with Alfresco's own JavaScript client, unchanged, and fails
// on the first answer that is not a real server's.
//
//   node client.mjs URL FOLDER SLOW
//
// FOLDER is the repository path of a folder with at least one file in it, SLOW
// that of a folder whose zipping takes long enough to be cancelled (several files
// and an --archive-rate). Who logs in is in ALFRESCO_USERNAME and
// ALFRESCO_PASSWORD. Exit status: 0 all is well, 1 a mismatch, 2 wrong usage.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { inflateRawSync } from 'node:zlib';
import jsApi from '@alfresco/js-api';

const { AlfrescoApi, DiscoveryApi, DownloadsApi, NodesApi, PeopleApi } = jsApi;

const [url, folderPath, slowPath] = process.argv.slice(2);
const { ALFRESCO_USERNAME: username, ALFRESCO_PASSWORD: password } = process.env;
if (!url || !folderPath || !slowPath || !username || !password) {
    console.error('usage: ALFRESCO_USERNAME=… ALFRESCO_PASSWORD=… node client.mjs URL FOLDER SLOW');
    process.exit(2);
}

// A failed call rejects a second promise inside the client that nobody can
// handle; the one that it returns is what is checked here.
process.on('unhandledRejection', () => {});

const connect = () => new AlfrescoApi({ hostEcm: url, provider: 'ECM' });

// rejects asserts that a call is refused with the status.
async function rejects(status, promise, what) {
    const error = await promise.then(
        () => assert.fail(`${what}: succeeded and should be ${status}`),
        (e) => e
    );
    assert.equal(error.status ?? error.response?.status, status, `${what}: ${error.message}`);
}

// ended polls a download until its state is one of those that end it.
async function ended(downloads, id) {
    for (let tries = 0; tries < 600; tries++) {
        const { entry } = await downloads.getDownload(id);
        if (!['PENDING', 'IN_PROGRESS'].includes(entry.status)) {
            return entry;
        }
        await sleep(100);
    }
    assert.fail(`download ${id} did not end within a minute`);
}

// unzip returns the entries of a zip by the sizes in its central directory.
function unzip(zip) {
    const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
    assert.notEqual(end, -1, 'the content is no zip');
    const entries = new Map();
    for (let i = 0, at = zip.readUInt32LE(end + 16); i < zip.readUInt16LE(end + 10); i++) {
        assert.equal(zip.readUInt32LE(at), 0x02014b50, 'central directory');
        const [name, extra, comment] = [28, 30, 32].map((o) => zip.readUInt16LE(at + o));
        const local = zip.readUInt32LE(at + 42);
        const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
        const data = inflateRawSync(zip.subarray(start, start + zip.readUInt32LE(at + 20)));
        assert.equal(data.length, zip.readUInt32LE(at + 24), 'size of an entry');
        entries.set(zip.toString('utf8', at + 46, at + 46 + name), data);
        at += 46 + name + extra + comment;
    }
    return entries;
}

async function run() {
    await rejects(403, connect().login(username, `${password}-wrong`), 'login with a wrong password');
    const api = connect();
    const ticket = await api.login(username, password);
    assert.match(ticket, /^TICKET_[0-9a-f]{40}$/);
    assert.equal(api.isLoggedIn(), true);
    assert.equal(await connect().login(username, password), ticket, 'a user has one ticket');

    const nodes = new NodesApi(api);
    const downloads = new DownloadsApi(api);

    const me = (await new PeopleApi(api).getPerson('-me-')).entry;
    assert.equal(me.id, username);
    const version = (await new DiscoveryApi(api).getRepositoryInformation()).entry.repository.version;
    assert.ok(version.major > 0);

    const folder = (await nodes.getNode('-root-', { relativePath: folderPath, include: ['path'] })).entry;
    assert.equal(folder.isFolder, true);
    assert.ok(folder.createdAt instanceof Date && !Number.isNaN(folder.createdAt.getTime()), 'createdAt is a date');
    assert.ok(folder.path.name.startsWith('/Company Home'), folder.path.name);
    const page = (await nodes.listNodeChildren(folder.id, { maxItems: 1, where: '(isFile=true)' })).list;
    assert.equal(page.pagination.count, 1);
    assert.equal(page.pagination.hasMoreItems, page.pagination.totalItems > 1);
    const file = page.entries[0].entry;
    assert.equal(file.isFile, true);
    assert.equal(file.parentId, folder.id);
    const content = await nodes.getNodeContent(file.id);
    assert.equal(content.length, file.content.sizeInBytes);

    await rejects(404, nodes.getNode('-root-', { relativePath: '/no/such/path' }), 'unknown path');
    await rejects(400, downloads.createDownload({ nodeIds: [] }), 'no node');
    await rejects(400, downloads.createDownload({ nodeIds: [file.id, file.id] }), 'a node twice');
    await rejects(404, downloads.createDownload({ nodeIds: ['-root-'] }), 'an alias');
    await rejects(400, downloads.getDownload(file.id), 'a node that is no download');

    const created = (await downloads.createDownload({ nodeIds: [folder.id] })).entry;
    assert.deepEqual({ ...created }, {
        id: created.id, status: 'PENDING', bytesAdded: 0, totalBytes: 0, filesAdded: 0, totalFiles: 0
    });
    const done = await ended(downloads, created.id);
    assert.equal(done.status, 'DONE');
    assert.equal(done.bytesAdded, done.totalBytes);
    const node = (await nodes.getNode(created.id)).entry;
    assert.equal(node.nodeType, 'download:download');
    assert.equal(node.name, `${folder.name}.zip`);
    const zip = await nodes.getNodeContent(created.id);
    assert.equal(zip.length, node.content.sizeInBytes);
    assert.deepEqual(unzip(zip).get(`${folder.name}/${file.name}`), content, 'the file in the zip');

    const slow = (await nodes.getNode('-root-', { relativePath: slowPath })).entry;
    const running = (await downloads.createDownload({ nodeIds: [slow.id] })).entry;
    await rejects(404, nodes.getNodeContent(running.id), 'content before DONE');
    await downloads.cancelDownload(running.id);
    assert.equal((await ended(downloads, running.id)).status, 'CANCELLED');

    for (const id of [created.id, running.id]) {
        await nodes.deleteNode(id, { permanent: true });
        await rejects(404, downloads.getDownload(id), 'a deleted download');
    }
    await api.logout();
    const dead = new AlfrescoApi({ hostEcm: url, provider: 'ECM', ticketEcm: ticket });
    await rejects(401, new NodesApi(dead).getNode('-root-'), 'a ticket after the logout');
}

run().then(
    () => console.log('ok'),
    (error) => {
        console.error(error);
        process.exit(1);
    }
);
