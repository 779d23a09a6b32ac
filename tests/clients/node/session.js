// What users of Node's ioredis and redis packages do, against the server at 127.0.0.1:PORT:
//
//     node session.js PORT [--modern]
//
// NODE_MODULES is the directory that holds the packages. Each check prints what it found if it does
// not hold; the exit code is 1 then. The server's databases are emptied. --modern adds what came
// after Redis 7.0. KVD_TLS_DIR names the directory of ca.crt, client.crt and client.key, with which the
// clients speak TLS.
//
// Not tried, because kvd lacks it: scripts and functions, streams, geo and HyperLogLog commands,
// ACLs with more users than default, cluster mode, Redis's modules.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const Redis = require(path.resolve(process.env.NODE_MODULES, 'ioredis'));
const node = require(path.resolve(process.env.NODE_MODULES, 'redis'));

const port = Number(process.argv[2]);
const modern = process.argv.includes('--modern');
const tlsDir = process.env.KVD_TLS_DIR;
const file = (name) => fs.readFileSync(path.join(tlsDir, name));
const tls = tlsDir ? { ca: file('ca.crt'), cert: file('client.crt'), key: file('client.key') } : undefined;

// until polls f until it returns something true.
async function until(what, f) {
	const deadline = Date.now() + 10000;
	for (;;) {
		const got = await f();
		if (got) return got;
		if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 2));
	}
}

const isBlocked = async (info) => /blocked_clients:1\r/.test(await info());
const open = [];

// ---- ioredis

function io(protocol, options) {
	const r = new Redis({ port, host: '127.0.0.1', tls, db: 9, protocol, ...options });
	open.push(() => r.disconnect());
	return r;
}

const ioredis = {
	async values(protocol) {
		const r = io(protocol, { connectionName: 'mine' });
		assert.equal(await r.client('GETNAME'), 'mine');
		assert.match(await r.client('INFO'), new RegExp(`db=9 .* resp=${protocol}`));
		assert.equal(await r.set('k', 'caf\u00e9', 'EX', 100), 'OK');
		assert.equal(await r.get('k'), 'caf\u00e9');
		assert.deepEqual(await r.getBuffer('k'), Buffer.from('caf\u00e9'));
		assert.equal(await r.set('k', 'x', 'NX'), null);
		assert.equal(await r.get('none'), null);
		const ttl = await r.ttl('k');
		assert.ok(ttl > 0 && ttl <= 100, `ttl ${ttl}`);
		assert.equal(await r.incrby('n', 41), 41);
		assert.equal(await r.hset('h', { a: 1, b: 'two' }), 2);
		assert.deepEqual(await r.hgetall('h'), { a: '1', b: 'two' });
		assert.equal(await r.rpush('l', 'a', 'b', 'c'), 3);
		assert.deepEqual(await r.lrange('l', 0, -1), ['a', 'b', 'c']);
		assert.equal(await r.sadd('s', 'x', 'y', 'x'), 2);
		assert.deepEqual((await r.smembers('s')).sort(), ['x', 'y']);
		assert.equal(await r.zadd('z', 1.5, 'm', '+inf', 'n'), 2);
		assert.deepEqual(await r.zrange('z', 0, -1, 'WITHSCORES'), ['m', '1.5', 'n', 'inf']);
		assert.equal(await r.zscore('z', 'm'), '1.5');
		await r.pexpire('n', 1);
		await until('n expires', async () => (await r.exists('n')) === 0);
		await assert.rejects(r.lpush('k', 'x'), { name: 'ReplyError', message: /^WRONGTYPE/ });
		await assert.rejects(r.call('NOSUCH'), /unknown command/);
		if (modern) assert.deepEqual(await r.call('HEXPIRE', 'h', '100', 'FIELDS', '2', 'a', 'none'), [1, -2]);
	},

	async resp3Types(protocol) {
		if (protocol !== 3) return;
		const r = io(3, { replyMapping: 'resp3' });
		await r.zadd('z', 1.5, 'm');
		assert.equal(await r.zscore('z', 'm'), 1.5);
		assert.equal((await r.call('HELLO')).proto, 3);
	},

	async scans(protocol) {
		const r = io(protocol);
		const p = r.pipeline();
		for (let i = 0; i < 300; i++) p.set(`key:${i}`, i).hset('big', `f${i}`, i);
		const got = await p.exec();
		assert.equal(got.length, 600);
		assert.ok(got.every(([err]) => err === null));
		const seen = new Set();
		for await (const keys of r.scanStream({ match: 'key:*', count: 50 })) keys.forEach((k) => seen.add(k));
		assert.equal(seen.size, 300);
		const fields = new Map();
		for await (const flat of r.hscanStream('big')) for (let i = 0; i < flat.length; i += 2) fields.set(flat[i], flat[i + 1]);
		assert.equal(fields.size, 300);
		assert.equal(fields.get('f7'), '7');
	},

	async pipelinesAndTransactions(protocol) {
		const r = io(protocol), other = io(protocol);
		const [set, bad, get] = await r.pipeline().set('k', 'v').incr('k').get('k').exec();
		assert.deepEqual(set, [null, 'OK']);
		assert.match(bad[0].message, /not an integer/);
		assert.deepEqual(get, [null, 'v']);
		assert.deepEqual(await r.multi().incr('n').hset('h', 'a', 1).hgetall('h').exec(), [[null, 1], [null, 1], [null, { a: '1' }]]);
		await r.watch('n');
		await other.incr('n');
		assert.equal(await r.multi().incr('n').exec(), null);
		assert.equal(await r.get('n'), '2');
		// The lock without a script: SET NX PX, and a delete on condition that the token is ours.
		assert.equal(await r.set('lock', 'one', 'PX', 30000, 'NX'), 'OK');
		assert.equal(await other.set('lock', 'two', 'PX', 30000, 'NX'), null);
		await r.watch('lock');
		assert.equal(await r.get('lock'), 'one');
		assert.deepEqual(await r.multi().del('lock').exec(), [[null, 1]]);
		const auto = io(protocol, { enableAutoPipelining: true });
		const sums = await Promise.all(Array.from({ length: 200 }, () => auto.incr('auto')));
		assert.deepEqual(sums, Array.from({ length: 200 }, (_, i) => i + 1));
	},

	async pubsub(protocol) {
		const r = io(protocol), sub = io(protocol);
		const heard = [];
		sub.on('message', (channel, m) => heard.push([channel, m]));
		sub.on('pmessage', (pattern, channel, m) => heard.push([pattern, channel, m]));
		sub.on('smessage', (channel, m) => heard.push(['shard', channel, m]));
		assert.equal(await sub.subscribe('news', 'other'), 2);
		assert.equal(await sub.psubscribe('n*'), 3);
		assert.equal(await sub.ssubscribe('orders'), 1);
		assert.equal(await r.publish('news', 'hello'), 2);
		assert.equal(await r.spublish('orders', 'o1'), 1);
		await until('three messages', () => heard.length === 3);
		assert.deepEqual(heard, [['news', 'hello'], ['n*', 'news', 'hello'], ['shard', 'orders', 'o1']]);
		assert.deepEqual((await r.pubsub('CHANNELS')).sort(), ['news', 'other']);
		assert.deepEqual(await r.pubsub('NUMSUB', 'news'), ['news', 1]);
		assert.equal(await sub.unsubscribe('news', 'other'), 1);
	},

	async blocking(protocol) {
		const r = io(protocol), other = io(protocol);
		const popped = r.blpop('a', 'b', 20);
		await until('a client is blocked', () => isBlocked(() => other.info('clients')));
		await other.rpush('b', 'x');
		assert.deepEqual(await popped, ['b', 'x']);
		assert.equal(await r.blpop('a', 0.01), null);
		const moved = r.blmove('from', 'to', 'LEFT', 'RIGHT', 20);
		await until('a client is blocked', () => isBlocked(() => other.info('clients')));
		await other.rpush('from', 'v');
		assert.equal(await moved, 'v');
	},

	async trackingByRedirection(protocol) {
		const r = io(protocol), sub = io(2), other = io(protocol);
		const heard = [];
		sub.on('message', (channel, keys) => heard.push(keys));
		const id = await sub.client('ID');
		await sub.subscribe('__redis__:invalidate');
		await r.set('k', '1');
		assert.equal(await r.client('TRACKING', 'ON', 'REDIRECT', id), 'OK');
		assert.equal(await r.get('k'), '1');
		await other.set('k', '2');
		await until('an invalidation', () => heard.length === 1);
		assert.deepEqual([].concat(heard[0]).map(String), ['k']);
	},
};

// ---- redis

async function connect(RESP, options) {
	const r = node.createClient({ RESP, database: 9, socket: { port, host: '127.0.0.1', reconnectStrategy: false, ...(tls && { tls: true, ...tls }) }, ...options });
	r.on('error', () => {}); // what matters rejects the command
	open.push(() => r.isOpen && r.destroy());
	await r.connect();
	return r;
}

const nodeRedis = {
	async values(protocol) {
		const r = await connect(protocol, { name: 'mine' });
		assert.equal(await r.clientGetName(), 'mine');
		const info = await r.clientInfo();
		assert.equal(info.resp, protocol);
		assert.equal(info.db, 9);
		if (modern) assert.match(info.libName, /redis/);
		assert.equal(await r.set('k', 'caf\u00e9', { expiration: { type: 'EX', value: 100 } }), 'OK');
		assert.equal(await r.get('k'), 'caf\u00e9');
		assert.equal(await r.set('k', 'x', { condition: 'NX' }), null);
		assert.equal(await r.get('none'), null);
		assert.ok((await r.ttl('k')) > 0);
		assert.deepEqual(await r.mGet(['k', 'none']), ['caf\u00e9', null]);
		assert.equal(await r.hSet('h', { a: '1', b: 'two' }), 2);
		assert.deepEqual({ ...(await r.hGetAll('h')) }, { a: '1', b: 'two' });
		assert.equal(await r.rPush('l', ['a', 'b', 'c']), 3);
		assert.deepEqual(await r.lRange('l', 0, -1), ['a', 'b', 'c']);
		assert.equal(await r.sAdd('s', ['x', 'y', 'x']), 2);
		assert.deepEqual([...(await r.sMembers('s'))].sort(), ['x', 'y']);
		assert.equal(await r.zAdd('z', [{ score: 1.5, value: 'm' }, { score: Infinity, value: 'n' }]), 2);
		assert.deepEqual((await r.zRangeWithScores('z', 0, -1)).map((e) => ({ ...e })), [{ value: 'm', score: 1.5 }, { value: 'n', score: Infinity }]);
		assert.equal(await r.zScore('z', 'm'), 1.5);
		assert.equal(await r.zScore('z', 'none'), null);
		await r.pExpire('k', 1);
		await until('k expires', async () => (await r.exists('k')) === 0);
		await assert.rejects(r.lPush('h', 'x'), (e) => e instanceof node.ErrorReply && /^WRONGTYPE/.test(e.message));
		await assert.rejects(r.sendCommand(['NOSUCH']), (e) => e instanceof node.ErrorReply && /unknown command/.test(e.message));
		if (modern) assert.deepEqual(await r.hExpire('h', ['a', 'none'], 100), [1, -2]);
	},

	async scans(protocol) {
		const r = await connect(protocol);
		await Promise.all(Array.from({ length: 300 }, (_, i) => Promise.all([r.set(`key:${i}`, `${i}`), r.hSet('big', `f${i}`, `${i}`)])));
		const seen = new Set();
		for await (const keys of r.scanIterator({ MATCH: 'key:*', COUNT: 50 })) [].concat(keys).forEach((k) => seen.add(k));
		assert.equal(seen.size, 300);
		const fields = new Map();
		for await (const entries of r.hScanIterator('big')) [].concat(entries).forEach((e) => fields.set(e.field, e.value));
		assert.equal(fields.size, 300);
		assert.equal(fields.get('f7'), '7');
	},

	async transactions(protocol) {
		const r = await connect(protocol), other = await connect(protocol);
		assert.deepEqual(await r.multi().incr('n').set('k', 'v').get('k').exec(), [1, 'OK', 'v']);
		await r.watch('n');
		await other.incr('n');
		await assert.rejects(r.multi().incr('n').exec(), (e) => e instanceof node.WatchError);
		assert.equal(await r.get('n'), '2');
		await assert.rejects(r.multi().set('k', 'w').lPush('k', 'x').exec(), (e) => e instanceof node.MultiErrorReply && e.errorIndexes.length === 1);
		assert.equal(await r.get('k'), 'w');
	},

	async pubsub(protocol) {
		const r = await connect(protocol), sub = await connect(protocol);
		const heard = [];
		await sub.subscribe(['news', 'other'], (m, channel) => heard.push([channel, m]));
		await sub.pSubscribe('n*', (m, channel) => heard.push(['n*', channel, m]));
		await sub.sSubscribe('orders', (m, channel) => heard.push(['shard', channel, m]));
		assert.equal(await r.publish('news', 'hello'), 2);
		assert.equal(await r.sPublish('orders', 'o1'), 1);
		await until('three messages', () => heard.length === 3);
		assert.deepEqual(heard, [['news', 'hello'], ['n*', 'news', 'hello'], ['shard', 'orders', 'o1']]);
		assert.deepEqual((await r.pubSubChannels()).sort(), ['news', 'other']);
		assert.equal(await r.pubSubNumPat(), 1);
		await sub.unsubscribe();
		assert.equal(await r.publish('other', 'x'), 0);
		if (protocol === 3) assert.equal(await sub.get('none'), null); // commands go on in RESP3
	},

	async blocking(protocol) {
		const r = await connect(protocol), other = await connect(protocol);
		const popped = r.blPop(['a', 'b'], 20);
		await until('a client is blocked', () => isBlocked(() => other.info('clients')));
		await other.rPush('b', 'x');
		assert.deepEqual({ ...(await popped) }, { key: 'b', element: 'x' });
		const least = r.bzPopMin('z', 20);
		await until('a client is blocked', () => isBlocked(() => other.info('clients')));
		await other.zAdd('z', { score: 2.5, value: 'm' });
		assert.deepEqual({ ...(await least) }, { key: 'z', value: 'm', score: 2.5 });
		assert.equal(await r.blPop('a', 0.01), null);
	},

	async clientSideCache(protocol) {
		if (protocol !== 3) return;
		const cache = new node.BasicClientSideCache({ maxEntries: 100 });
		const r = await connect(3, { clientSideCache: cache }), other = await connect(3);
		await other.set('k', '1');
		assert.equal(await r.get('k'), '1');
		const misses = cache.stats().missCount;
		for (let i = 0; i < 50; i++) assert.equal(await r.get('k'), '1');
		assert.equal(cache.stats().missCount, misses);
		assert.equal(cache.stats().hitCount, 50);
		await other.set('k', '2');
		await until('the new value is seen', async () => (await r.get('k')) === '2');
		await other.flushAll();
		await until('the flush is seen', async () => (await r.get('k')) === null);
	},

	async refusals(protocol) {
		const r = await connect(protocol);
		await r.set('k', 'v');
		await r.configSet('requirepass', 'secret');
		try {
			await assert.rejects(connect(protocol, { password: 'wrong' }), /WRONGPASS|invalid/);
			assert.equal(await (await connect(protocol, { password: 'secret' })).get('k'), 'v');
		} finally {
			await r.configSet('requirepass', '');
		}
		await r.sendCommand(['REPLICAOF', '127.0.0.1', '1']); // where nobody listens
		try {
			await assert.rejects(r.set('k', 'x'), /^\w*Error: READONLY/);
		} finally {
			await r.sendCommand(['REPLICAOF', 'NO', 'ONE']);
		}
		assert.equal(await r.get('k'), 'v');
	},
};

(async () => {
	let failures = 0;
	for (const [library, checks] of Object.entries({ ioredis, redis: nodeRedis })) {
		for (const [name, f] of Object.entries(checks)) {
			for (const protocol of [2, 3]) {
				const admin = new Redis({ port, host: '127.0.0.1', tls });
				await admin.flushall();
				admin.disconnect();
				console.log(library, name, protocol);
				try {
					await f(protocol);
				} catch (e) {
					failures++;
					console.log(e);
				}
				open.splice(0).forEach((close) => close());
			}
		}
	}
	process.exit(failures ? 1 : 0);
})();
