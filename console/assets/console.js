'use strict';
// The console: what the server tells of itself, live, and its data. Texts of the server and of its
// data get into the page as text nodes only; the page's policy allows no other way.

const $ = (id) => document.getElementById(id);

// el makes an element: attributes, and children that are nodes or texts.
function el(name, attrs, ...children) {
	const e = document.createElement(name);
	for (const [k, v] of Object.entries(attrs || {})) {
		if (v === undefined || v === false) continue;
		if (typeof v === 'function') e.addEventListener(k, v);
		else e.setAttribute(k, v === true ? '' : v);
	}
	e.append(...children.filter((c) => c !== null && c !== undefined));
	return e;
}

// table fills a table; a cell is a text, a number (to the right) or a node.
function table(id, heads, rows, none) {
	const t = $(id);
	const cell = (kind, c) => el(kind, { class: typeof c === 'number' || (c && c.right) ? 'n' : undefined }, c && c.right !== undefined ? c.right : typeof c === 'number' ? count(c) : c);
	const parts = [];
	if (rows.length === 0) {
		parts.push(el('tbody', {}, el('tr', {}, el('td', { class: 'quiet' }, none || 'Nothing.'))));
	} else {
		if (heads) parts.push(el('thead', {}, el('tr', {}, ...heads.map((h) => cell('th', h)))));
		parts.push(el('tbody', {}, ...rows.map((r) => el('tr', {}, ...r.map((c) => cell('td', c))))));
	}
	t.replaceChildren(...parts);
}
const right = (text) => ({ right: text });

// Numbers as people read them.
const count = (n) => Math.abs(n) >= 1e15 ? String(n) : Math.abs(n) >= 1e6 ? (n / 1e6).toFixed(2) + ' M' : Math.abs(n) >= 1000 || Number.isInteger(n) ? Math.round(n).toLocaleString('en') : n.toFixed(n < 10 ? 2 : 1);
function size(n) {
	let u = 0;
	for (; n >= 1024 && u < 5; u++) n /= 1024;
	return (u === 0 ? n : n.toFixed(n < 10 ? 2 : 1)) + ' ' + ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][u];
}
function time(s) {
	if (!isFinite(s)) return '?';
	if (s === 0) return '0 s';
	if (s < 1e-3) return (s * 1e6).toFixed(s < 1e-5 ? 1 : 0) + ' us';
	if (s < 1) return (s * 1000).toFixed(s < 0.01 ? 1 : 0) + ' ms';
	if (s < 120) return s.toFixed(s < 10 ? 1 : 0) + ' s';
	if (s < 7200) return Math.floor(s / 60) + ' min ' + Math.floor(s % 60) + ' s';
	if (s < 172800) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
	return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}

// Bytes.
const bytesOf = (b64) => Uint8Array.from(atob(b64 || ''), (c) => c.charCodeAt(0));
function base64(bytes) {
	let s = '';
	for (let i = 0; i < bytes.length; i += 8192) s += String.fromCharCode(...bytes.subarray(i, i + 8192));
	return btoa(s);
}

// hidden are characters that would not be seen, or would turn the text around them.
const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/;

// data shows bytes: text where they are UTF-8, and escapes where they are not, or could not be seen.
function data(bytes, of) {
	const out = el('span', { class: 'data', dir: 'auto' });
	let plain = '', escaped = '';
	const flush = () => {
		if (plain) out.append(plain);
		if (escaped) out.append(el('span', { class: 'esc' }, escaped));
		plain = escaped = '';
	};
	const put = (text, esc) => {
		if (esc ? plain : escaped) flush();
		if (esc) escaped += text; else plain += text;
	};
	const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
	for (let i = 0; i < bytes.length;) {
		const b = bytes[i];
		const len = b < 0x80 ? 1 : b >= 0xc2 && b < 0xe0 ? 2 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xf0 && b < 0xf5 ? 4 : 0;
		let c = null;
		if (len > 0 && i + len <= bytes.length) {
			try { c = decoder.decode(bytes.subarray(i, i + len)); } catch { /* not UTF-8 */ }
		}
		if (c === null) {
			put('\\x' + b.toString(16).padStart(2, '0'), true);
			i++;
			continue;
		}
		if (hidden.test(c)) put(b < 0x80 ? '\\x' + b.toString(16).padStart(2, '0') : '\\u{' + c.codePointAt(0).toString(16) + '}', true);
		else put(c, false);
		i += len;
	}
	flush();
	if (bytes.length === 0) out.append(el('span', { class: 'esc' }, '(empty)'));
	if (of) out.append(el('span', { class: 'quiet' }, ' ... ' + count(of) + ' bytes'));
	return out;
}
const textNode = (t) => t && t.b ? data(bytesOf(t.b), t.n) : t ? data(new Uint8Array(0)) : '';
const textNodeOrNothing = (t) => t && t.b ? textNode(t) : '';

// Talking with the server.
let session = { user: '', token: '', admitted: false };

// post asks for something; by itself is what nobody has asked for just now, which does not keep a
// session alive. A session of nobody's that is over is made anew.
async function post(path, body, byItself, anew) {
	const headers = { 'Content-Type': 'application/json', 'Kvd-Token': session.token };
	if (byItself) headers['Kvd-Again'] = '1';
	const r = await fetch('api/' + path, { method: 'POST', headers, body: JSON.stringify(body || {}) });
	const out = await r.json();
	if (!r.ok) {
		if (out.error === 'the session is over' && !anew) {
			const user = session.user;
			await renew();
			if (session.user === user || path === 'signin') return post(path, body, byItself, true);
		}
		const e = new Error(out.error);
		e.status = r.status;
		throw e;
	}
	return out;
}

function problem(text) {
	$('problem').textContent = text || '';
	$('problem').hidden = !text;
}

// attempt runs what a view does, and shows what goes wrong.
async function attempt(f) {
	try {
		await f();
		problem('');
	} catch (e) {
		problem(e.message);
		if (e.status === 401) $('sign').classList.add('wanted');
	}
}

async function renew() {
	session = await (await fetch('api/session')).json();
	$('sign').textContent = session.user ? 'Sign out ' + session.user : 'Sign in';
}

async function begin() {
	await renew();
	$('about').textContent = session.version || '';
	$('s-db').max = session.databases - 1;
	if (session.admitted) connect();
	else ask('Sign in to look at this server.');
}

// Live figures.
let source = null, fields = {}, commands = {}, last = null, history = [];
const kept = 300; // seconds that are shown

function connect() {
	if (source) source.close();
	source = new EventSource('api/live');
	source.onmessage = (m) => onEvent(JSON.parse(m.data));
	source.onerror = () => {
		link(false);
		if (source.readyState === EventSource.CLOSED) setTimeout(() => begin().catch(() => setTimeout(connect, 3000)), 2000);
	};
}
function link(on) {
	$('link').className = on ? 'on' : 'off';
	$('link').replaceChildren('\u25cf ', el('span', { class: 'long' }, on ? 'live' : 'not connected'));
	$('link').title = on ? 'live' : 'not connected';
}

function onEvent(e) {
	link(true);
	if (e.all) { fields = {}; commands = {}; last = null; history = []; }
	for (const [k, v] of Object.entries(e.fields || {})) if (v === '') delete fields[k]; else fields[k] = v;
	Object.assign(commands, e.commands);
	const now = { at: e.at, fields: { ...fields }, commands: { ...commands }, heat: e.heat, lag: e.lag, timed: e.timed };
	if (last) {
		const s = Math.max((now.at - last.at) / 1000, 0.001);
		const lastOf = last;
		const rate = (...names) => names.reduce((sum, n) => sum + Math.max(Number(now.fields[n] || 0) - Number(lastOf.fields[n] || 0), 0), 0) / s;
		const heat = now.heat.map((n, i) => Math.max(n - lastOf.heat[i], 0) / s);
		history.push({ at: now.at, heat, ops: rate('total_commands_processed') });
		if (history.length > kept) history.shift();
		now.rate = rate;
		now.was = { commands: last.commands, s };
		delete last.was; // a chain of all would be kept
		delete last.rate;
	}
	last = now;
	draw();
}
const num = (name) => Number(fields[name] || 0);
const yes = (name) => fields[name] === '1';
const parts = (text) => Object.fromEntries((text || '').split(',').map((p) => p.split('=')));
const databases = () => Object.keys(fields).filter((k) => /^db\d+$/.test(k)).map((k) => Number(k.slice(2))).sort((a, b) => a - b);

function draw() {
	if (!last || document.hidden) return;
	const role = fields.role === 'slave' ? 'follower' : 'leader';
	$('about').textContent = (fields.kvd_version || '') + ', ' + role + ', up ' + time(num('uptime_in_seconds'));
	document.title = (last.rate ? count(Math.round(last.rate('total_commands_processed'))) + '/s ' : '') + 'kvd ' + (fields.tcp_port || '');
	if (view === 'overview') overview();
	if (view === 'memory') where();
	if (view === 'replication') replication();
}

// The overview.
function tile(name, value, more) {
	return el('div', { class: 'tile' }, el('span', {}, name), el('b', {}, value), el('small', {}, more || ''));
}

function overview() {
	const rate = last.rate || (() => 0);
	const hits = rate('keyspace_hits'), misses = rate('keyspace_misses');
	const keys = databases().reduce((n, d) => n + Number(parts(fields['db' + d]).keys), 0);
	$('tiles').replaceChildren(
		tile('commands /s', count(Math.round(rate('total_commands_processed'))), hits + misses > 0 ? (hits / (hits + misses) * 100).toFixed(1) + '% of lookups hit' : 'no lookups'),
		tile('keys', count(keys), count(Math.round(rate('expired_keys'))) + ' expired, ' + count(Math.round(rate('evicted_keys'))) + ' evicted'),
		tile('memory', size(num('used_memory')), num('maxmemory') ? 'of ' + size(num('maxmemory')) : size(num('used_memory_rss')) + ' resident'),
		tile('clients', count(num('connected_clients')), fields.blocked_clients + ' blocked'),
		tile('traffic in', size(rate('total_net_input_bytes')) + '/s', size(rate('total_net_output_bytes')) + '/s out'),
		tile('processors', (rate('used_cpu_sys', 'used_cpu_user') * 100).toFixed(0) + '%', 'of a core'),
		tile('expiry lag', last.lag ? time(last.lag) : 'none', 'of deadlines'),
		tile('unsaved changes', count(num('rdb_changes_since_last_save')), yes('aof_enabled') ? 'log ' + size(num('aof_current_size')) : 'no log'),
	);
	progress();
	heatMap();
	rates();
	table('busy', ['command', right('/s'), right('each'), right('of the time')], busiest());
	table('dbs', ['database', right('keys'), right('with a deadline'), right('mean time to live')], databases().slice(0, 64).map((d) => {
		const p = parts(fields['db' + d]);
		return [String(d), Number(p.keys), Number(p.expires), right(Number(p.avg_ttl) ? time(p.avg_ttl / 1000) : '-')];
	}), 'No keys.');
	const ok = (name) => fields[name] === undefined ? '-' : fields[name] === 'ok' ? 'ok' : 'FAILED';
	const disk = [
		['last snapshot', num('rdb_saves') || num('rdb_last_bgsave_time_sec') >= 0 ? time(Math.max(last.at / 1000 - num('rdb_last_save_time'), 0)) + ' ago, ' + ok('rdb_last_bgsave_status') : 'none since the start'],
		['log', yes('aof_enabled') ? size(num('aof_current_size')) + ', last write ' + ok('aof_last_write_status') : 'off'],
	];
	if (yes('aof_enabled')) {
		disk.push(['syncs of the log', 'last ' + time(num('aof_last_fsync_usec') / 1e6) + ', longest ' + time(num('aof_max_fsync_usec') / 1e6)]);
		disk.push(['last rewrite', ok('aof_last_bgrewrite_status')]);
	}
	disk.push(['stripes waited for', count(num('kvd_lock_contended'))]);
	if (yes('kvd_timing')) disk.push(['longest lock, command', time(num('kvd_max_lock_hold_us') / 1e6) + ', ' + time(num('kvd_max_command_us') / 1e6)]);
	table('disk', null, disk);
	table('errors', ['error', right('replies')], Object.keys(fields).filter((k) => k.startsWith('errorstat_')).map((k) => [data(new TextEncoder().encode(k.slice(10))), Number(parts(fields[k]).count)]).sort((a, b) => b[1] - a[1]).slice(0, 20), 'No error replies.');
}

function busiest() {
	if (!last.was) return [];
	const list = [];
	let all = 0;
	for (const [name, [calls, took]] of Object.entries(last.commands)) {
		const [c, t] = last.was.commands[name] || [0, 0];
		if (calls <= c) continue;
		all += took - t;
		list.push([name.replace('|', ' '), (calls - c) / last.was.s, took - t, calls - c]);
	}
	list.sort((a, b) => b[2] - a[2]);
	return list.slice(0, 12).map(([name, per, took, n]) => [name, per, right(time(took / n)), right((all > 0 ? took / all * 100 : 0).toFixed(1) + '%')]);
}

// What takes its time, and how much is left: by what was done since it was first seen.
const begun = {};
function left(name, done, total, at) {
	const b = begun[name];
	if (!b || b.total !== total || done < b.done) begun[name] = { done, total, at };
	const from = begun[name];
	return done > from.done ? (total - done) / (done - from.done) * (at - from.at) / 1000 : Infinity;
}
function progress() {
	const rows = [];
	const bar = (name, done, total, unit, leftFor) => rows.push(el('div', { class: 'card' }, el('label', {}, name + ': ' + (total > 0 ? (done / total * 100).toFixed(1) + '%, ' + unit(done) + ' of ' + unit(total) : 'begun') + ', ' + (isFinite(leftFor) ? time(leftFor) + ' left' : 'time left not known yet'),
		el('progress', total > 0 ? { max: total, value: done, 'aria-label': name } : { 'aria-label': name }))));
	const at = last.at;
	if (yes('loading')) bar('Loading', num('loading_loaded_bytes'), num('loading_total_bytes'), size, num('loading_eta_seconds') || left('load', num('loading_loaded_bytes'), num('loading_total_bytes'), at));
	const saving = num('current_save_keys_processed'), all = num('current_save_keys_total');
	const sending = Object.keys(fields).filter((k) => /^slave\d+$/.test(k) && /state=(wait_bgsave|send_bulk)/.test(fields[k])).length;
	if (yes('rdb_bgsave_in_progress') || yes('aof_rewrite_in_progress') || sending) {
		bar(sending ? 'Full synchronization of ' + sending + (sending > 1 ? ' followers' : ' follower') : yes('aof_rewrite_in_progress') ? 'Rewriting the log' : 'Saving', saving, all, (n) => count(n) + ' keys', left('save', saving, all, at));
	}
	if (yes('master_sync_in_progress')) {
		const done = num('master_sync_read_bytes'), rest = num('master_sync_left_bytes');
		const total = num('master_sync_total_bytes') || (rest > 0 ? done + rest : 0);
		bar('Full synchronization from the leader', done, total, size, total > 0 ? left('sync', done, total, at) : Infinity);
	}
	$('progress').replaceChildren(...rows);
}

// Pictures.
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function canvas(id) {
	const c = $(id), r = window.devicePixelRatio || 1;
	const w = c.clientWidth, h = c.clientHeight;
	if (c.width !== Math.round(w * r) || c.height !== Math.round(h * r)) { c.width = Math.round(w * r); c.height = Math.round(h * r); }
	const g = c.getContext('2d');
	g.setTransform(r, 0, 0, r, 0, 0);
	g.clearRect(0, 0, w, h);
	g.font = '11px system-ui, "DejaVu Sans", sans-serif';
	return [g, w, h];
}
const steps = ['2 us', '5 us', '10 us', '20 us', '50 us', '100 us', '200 us', '500 us', '1 ms', '2 ms', '5 ms', '10 ms', '100 ms', 'more'];

function percentile(heat, p) {
	const all = heat.reduce((a, b) => a + b, 0);
	if (all === 0) return null;
	let sum = 0;
	for (let i = 0; i < heat.length; i++) if ((sum += heat[i]) >= all * p) return i;
	return heat.length - 1;
}

function heatMap() {
	const [g, w, h] = canvas('heat');
	const leftOf = 46, rows = steps.length, rowH = (h - 4) / rows;
	const columns = Math.min(Math.max(60, history.length), Math.floor((w - leftOf) / 4)), colW = (w - leftOf) / columns;
	const shown = history.slice(-columns);
	const most = Math.max(1, ...shown.map((x) => Math.max(...x.heat)));
	g.fillStyle = css('--quiet');
	g.textAlign = 'right';
	g.textBaseline = 'middle';
	for (let i = 0; i < rows; i++) if (i % 2 === 0 || rowH >= 13) g.fillText(steps[i], leftOf - 6, h - 2 - (i + 0.5) * rowH);
	g.fillStyle = css('--accent');
	shown.forEach((x, j) => x.heat.forEach((n, i) => {
		if (n <= 0) return;
		g.globalAlpha = 0.12 + 0.88 * Math.log1p(n) / Math.log1p(most);
		g.fillRect(w - (shown.length - j) * colW, h - 2 - (i + 1) * rowH, Math.max(colW - 0.5, 0.5), rowH - 1);
	}));
	g.globalAlpha = 1;
	const now = shown.length ? shown[shown.length - 1].heat : null;
	const middle = now && percentile(now, 0.5), high = now && percentile(now, 0.99);
	const upTo = (i) => i === steps.length - 1 ? 'more than 100 ms' : 'up to ' + steps[i];
	$('heat-said').textContent = now && middle !== null ? 'half take ' + upTo(middle) + ', 99% ' + upTo(high) : last.timed ? 'no calls in the last second' : 'latency-tracking is off, so calls are not timed';
}

function rates() {
	const [g, w, h] = canvas('rate');
	const most = Math.max(1, ...history.map((x) => x.ops));
	$('rate-said').textContent = 'highest ' + count(Math.round(most)) + ' in ' + time(history.length);
	if (history.length < 2) return;
	const columns = Math.max(60, history.length) - 1;
	g.beginPath();
	history.forEach((x, i) => g.lineTo(w - (history.length - 1 - i) * (w / columns), h - 3 - x.ops / most * (h - 8)));
	g.strokeStyle = css('--accent');
	g.lineWidth = 2;
	g.stroke();
	g.lineTo(w, h);
	g.lineTo(w - (history.length - 1) * (w / columns), h);
	g.globalAlpha = 0.15;
	g.fillStyle = css('--accent');
	g.fill();
	g.globalAlpha = 1;
}

// Memory.
function where() {
	const used = num('used_memory');
	const rows = [
		['entries (keys and small values)', num('kvd_mem_entries')], ['tables of keys', num('kvd_mem_tables')], ['big values', num('kvd_mem_objects')], ['deadlines', num('kvd_mem_deadlines')],
		['order of keys', num('mem_ordered_keys')], ['clients', num('mem_clients_normal')], ['followers', num('mem_clients_slaves')], ['replication backlog', num('mem_replication_backlog')], ['log not written yet', num('mem_aof_buffer')],
	].filter((r) => r[1] > 0).sort((a, b) => b[1] - a[1]);
	const total = Math.max(used, 1);
	$('where').replaceChildren(
		el('p', {}, size(used) + ' in use, ' + size(num('used_memory_rss')) + ' resident, highest ' + size(num('used_memory_peak')) + (num('maxmemory') ? ', limit ' + size(num('maxmemory')) + ' (' + fields.maxmemory_policy + ')' : ', no limit')),
		...rows.map(([name, n]) => el('div', { class: 'bar' }, el('label', {}, el('span', {}, name), el('span', {}, size(n))), el('progress', { max: total, value: Math.min(n, total), 'aria-label': name }))));
}

let weighing = 0; // changes where another one begins, or it is stopped
async function weigh(whole) {
	const mine = ++weighing;
	const all = {}, big = [];
	let done = 0, total = 0;
	const dbs = databases().slice(0, 64);
	for (const d of dbs) total += Number(parts(fields['db' + d]).keys);
	$('weigh').textContent = whole ? 'Stop' : 'Weigh all keys';
	for (const d of dbs) {
		let cursor = '0', seen = 0;
		const types = {};
		do {
			const r = await post('weigh', { db: d, cursor });
			if (mine !== weighing) return;
			cursor = r.cursor;
			seen += r.keys;
			done += r.keys;
			for (const [type, [n, b]] of Object.entries(r.types)) {
				const t = types[type] = types[type] || [0, 0];
				t[0] += n;
				t[1] += b;
			}
			for (const b of r.big || []) big.push({ ...b, db: d });
			big.sort((a, b) => b.bytes - a.bytes);
			big.length = Math.min(big.length, 20);
			all[d] = { types, seen, whole: cursor === '0' };
			showWeights(all, big, done, total);
		} while (whole && cursor !== '0');
	}
	if (mine === weighing) $('weigh').textContent = 'Weigh all keys';
}
function showWeights(all, big, done, total) {
	const rows = [];
	let guessed = false;
	for (const [d, a] of Object.entries(all)) {
		const keys = Number(parts(fields['db' + d]).keys) || a.seen;
		const by = a.whole ? 1 : keys / Math.max(a.seen, 1);
		guessed = guessed || !a.whole;
		for (const [type, [n, b]] of Object.entries(a.types)) rows.push([d, type, Math.round(n * by), b * by]);
	}
	rows.sort((a, b) => b[3] - a[3]);
	const most = Math.max(1, ...rows.map((r) => r[3]));
	$('weighed').textContent = guessed ? 'An estimate from ' + count(done) + ' of ' + count(total) + ' keys.' : 'All ' + count(done) + ' keys were weighed.';
	table('types', ['database', 'type', right('keys'), right('memory'), ''], rows.map(([d, type, n, b]) => [d, type, n, right(size(b)), el('progress', { max: most, value: b, 'aria-label': type })]), 'No keys.');
	table('big', ['database', 'key', 'type', right('memory')], big.map((b) => [String(b.db), keyLink(b), b.type, right(size(b.bytes))]), 'No keys.');
}
function keyLink(b) {
	if (b.open === false) return textNode(b.key);
	return el('button', { type: 'button', class: 'key', click: () => { $('s-db').value = b.db; show('keys'); attempt(() => openKey(b.db, b.key.b)); } }, textNode(b.key));
}

// Clients, slow log, hot keys.
async function clients(byItself) {
	const r = await post('clients', {}, byItself);
	$('clients-said').textContent = r.total > r.clients.length ? 'the ' + r.clients.length + ' of ' + count(r.total) + ' that take most memory' : count(r.total);
	table('clients', ['address', 'user', 'name', 'database', 'last command', right('age'), right('idle'), right('memory'), 'library'], r.clients.map((c) => {
		const f = c.fields;
		return [f.addr || '', f.user || '', data2(f.name), f.db || '', f.cmd || '', right(time(Number(f.age))), right(time(Number(f.idle))), right(size(Number(f['tot-mem'] || 0))), data2((f['lib-name'] || '') + ' ' + (f['lib-ver'] || ''))];
	}));
}
const data2 = (text) => text && text.trim() ? data(new TextEncoder().encode(text)) : '';
const intOf = (t) => Number(new TextDecoder().decode(bytesOf(t.b)));

async function slow(byItself) {
	const r = await post('slowlog', {}, byItself);
	if (!r.items && r.kind === '-') throw new Error(new TextDecoder().decode(bytesOf(r.text.b)));
	table('slow', ['when', right('took'), 'command', 'client'], (r.items || []).filter((e) => e.items && !e.len).map((e) => {
		const [, at, took, args, from, name] = e.items;
		const words = el('span', {});
		for (const a of args.items || []) words.append(a.kind === '_' ? '' : textNode(a.text), ' ');
		return [new Date(intOf(at.text) * 1000).toLocaleString(), right(time(intOf(took.text) / 1e6)), words, el('span', {}, from ? textNodeOrNothing(from.text) : '', ' ', name ? textNodeOrNothing(name.text) : '')];
	}), 'No slow calls.');
}

async function hot(byItself) {
	let r = await post('hotkeys', {}, byItself);
	while (r && r.items && r.items.length === 1 && r.items[0].items) r = r.items[0];
	if (r && r.kind === '-') throw new Error(new TextDecoder().decode(bytesOf(r.text.b)));
	const m = {};
	for (let i = 0; r && r.items && i + 1 < r.items.length; i += 2) m[new TextDecoder().decode(bytesOf(r.items[i].text.b))] = r.items[i + 1];
	const active = m['tracking-active'] && intOf(m['tracking-active'].text) === 1;
	$('hot-said').textContent = !r || !r.items ? 'none were noted yet' : (active ? 'being noted' : 'noted') + ' for ' + time(m['collection-duration-ms'] ? intOf(m['collection-duration-ms'].text) / 1000 : 0);
	$('hot-start').disabled = active || !session.user;
	$('hot-stop').disabled = !active || !session.user;
	$('hot-start').title = session.user ? '' : 'Sign in for this';
	const list = (name, as) => {
		const items = (m[name] && m[name].items) || [], rows = [];
		for (let i = 0; i + 1 < items.length; i += 2) rows.push([textNode(items[i].text), right(as(intOf(items[i + 1].text)))]);
		return rows;
	};
	table('hot-time', ['key', right('time')], list('by-cpu-time-us', (n) => time(n / 1e6)));
	table('hot-net', ['key', right('bytes')], list('by-net-bytes', size));
}

// Replication.
const svgNS = 'http://www.w3.org/2000/svg';
function svg(name, attrs, text) {
	const e = document.createElementNS(svgNS, name);
	for (const [k, v] of Object.entries(attrs)) e.setAttribute(k, v);
	if (text !== undefined) e.textContent = text;
	return e;
}
function replication() {
	const nodes = [], me = num(fields.role === 'slave' ? 'slave_repl_offset' : 'master_repl_offset');
	if (fields.role === 'slave') {
		const up = fields.master_link_status === 'up';
		nodes.push({ name: fields.master_host + ':' + fields.master_port, said: yes('master_sync_in_progress') ? 'leader, full synchronization' : up ? 'leader, heard of ' + fields.master_last_io_seconds_ago + ' s ago' : 'leader, link down for ' + time(num('master_link_down_since_seconds')), up });
	}
	const meAt = nodes.length;
	nodes.push({ name: 'this server, port ' + (fields.tcp_port || '-'), said: (fields.role === 'slave' ? 'follower' : 'leader') + ', offset ' + count(me), up: true, me: true });
	const followers = Object.keys(fields).filter((k) => /^slave\d+$/.test(k)).sort((a, b) => Number(a.slice(5)) - Number(b.slice(5)));
	for (const k of followers.slice(0, 24)) {
		const p = parts(fields[k]);
		const behind = Math.max(num('master_repl_offset') - Number(p.offset), 0);
		nodes.push({ name: p.ip + ':' + p.port, said: p.state === 'online' ? 'follower, ' + size(behind) + ' and ' + p.lag + ' s behind' : 'follower, ' + p.state.replace('_', ' '), up: p.state === 'online' });
	}
	const h = 62, pic = svg('svg', { viewBox: '0 0 360 ' + (nodes.length * h + 4), role: 'img', 'aria-label': 'Who follows whom: ' + nodes.map((n) => n.name + ' (' + n.said + ')').join('; ') });
	nodes.forEach((n, i) => {
		const x = i < meAt ? 4 : i === meAt ? (meAt ? 34 : 4) : meAt ? 74 : 44, y = i * h + 4;
		if (i > 0) {
			const from = i <= meAt ? 0 : meAt, fx = (from < meAt ? 4 : meAt ? 34 : 4) + 16;
			pic.append(svg('path', { d: 'M' + fx + ' ' + (from * h + 52) + 'V' + (y + 24) + 'H' + x, class: (from === 0 && meAt === 1 && i === 1 ? nodes[0].up : n.up) ? 'on' : 'off' }));
		}
		const g = svg('g', { class: n.me ? 'me' : n.up ? 'on' : 'off' });
		g.append(svg('rect', { x, y, width: 356 - x, height: 48, rx: 7 }), svg('text', { x: x + 12, y: y + 20 }, n.name), svg('text', { x: x + 12, y: y + 38, class: 'quiet' }, n.said));
		pic.append(g);
	});
	$('picture').replaceChildren(pic);
	if (followers.length > 24) $('picture').append(el('p', { class: 'quiet' }, 'and ' + (followers.length - 24) + ' followers more'));
	const rows = [['history', fields.master_replid || '-'], ['backlog', yes('repl_backlog_active') ? size(num('repl_backlog_histlen')) + ' of ' + size(num('repl_backlog_size')) : 'none'],
		['kept on the disk for who lags', size(num('kvd_repl_backlog_file_bytes'))], ['full synchronizations', count(num('sync_full'))], ['partial ones, refused', count(num('sync_partial_ok')) + ', ' + count(num('sync_partial_err'))]];
	table('repl', null, rows);
}

// Keys.
let cursor = '0', search = {}, shownKey = null;
async function keys(more) {
	if (!more) {
		search = { db: Number($('s-db').value), match: $('s-match').value, type: $('s-type').value };
		cursor = '0';
		$('keylist').replaceChildren();
	}
	const mine = search;
	let found = 0;
	do { // until something is there to be shown
		const r = await post('keys', { ...mine, cursor });
		if (mine !== search) return;
		cursor = r.cursor;
		found += r.keys.length;
		for (const k of r.keys) $('keylist').append(el('li', {}, el('button', { type: 'button', disabled: !k.open, click: (e) => { mark(e.currentTarget); attempt(() => openKey(mine.db, k.key.b, true)); } },
			el('span', { class: 'name' }, textNode(k.key)), el('span', { class: 'kind' }, k.type + (k.ttl >= 0 ? ', ' + time(k.ttl / 1000) : '')))));
		$('keys-said').textContent = count($('keylist').children.length) + ' shown of ' + count(r.total) + ' in database ' + mine.db + (cursor === '0' ? '' : ', there may be more');
	} while (found === 0 && cursor !== '0');
	$('more').hidden = cursor === '0';
}
function mark(button) {
	for (const b of $('keylist').querySelectorAll('[aria-current]')) b.removeAttribute('aria-current');
	button.setAttribute('aria-current', 'true');
}
async function openKey(db, key, focus) {
	const v = await post('value', { db, key });
	shownKey = { db, key };
	const name = bytesOf(key);
	const body = el('div', {});
	const more = el('button', { type: 'button' }, 'More');
	const said = el('p', { class: 'quiet' }, v.type + ' (' + v.encoding + '), ' + (v.type === 'string' ? count(v.len) + ' bytes' : count(v.len) + ' elements') + (v.memory ? ', ' + size(v.memory) + ' of memory' : '') + ', ' + (v.ttl < 0 ? 'no deadline' : time(v.ttl / 1000) + ' to live'));
	const acts = el('div', { class: 'acts' }, el('button', { type: 'button', click: () => attempt(() => openKey(db, key)) }, 'Look again'));
	if (session.user) {
		acts.append(el('button', { type: 'button', click: () => attempt(() => change(db, name, 'expire')) }, 'Set time to live'), el('button', { type: 'button', click: () => attempt(() => change(db, name, 'delete')) }, 'Delete'));
	}
	const put = (page) => {
		if (page.type === 'string') body.append(...page.rows.map((r) => el('div', {}, textNode(r[0]))));
		else {
			if (!body.firstChild) body.append(el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, el('tr', {}, ...page.columns.map((c) => el('th', {}, c)))), el('tbody', {}))));
			body.querySelector('tbody').append(...page.rows.map((r) => el('tr', {}, ...page.columns.map((c, i) => el('td', {}, i >= r.length || (page.type === 'stream' && i === 0) ? textNodeOrNothing(r[i]) : c === 'TTL' ? el('span', { class: 'kind' }, time(intOf(r[i]) / 1000)) : textNode(r[i]))))));
		}
		more.hidden = !page.next;
		more.onclick = () => attempt(async () => {
			const next = await post('value', { db, key, cursor: page.next });
			if (next.type === page.type) put(next);
		});
	};
	$('value').replaceChildren(el('h2', {}, data(name)), said, acts, body, more);
	put(v);
	if (focus) $('value').focus({ preventScroll: window.innerWidth > 720 });
}
async function act(what) {
	const r = await post('act', what);
	if (r.kind === '-') throw new Error(new TextDecoder().decode(bytesOf(r.text.b)));
}
async function change(db, name, what) {
	let ms = 0;
	if (what === 'expire') {
		const s = window.prompt('Seconds to live; nothing keeps it for ever', '3600');
		if (s === null) return;
		if (s.trim() === '') what = 'persist';
		else if (!(Number(s) > 0)) throw new Error('that is no time');
		else ms = Math.max(Math.round(Number(s) * 1000), 1);
	} else if (!window.confirm('Delete this key?')) return;
	await act({ act: what, db, key: base64(name), ms });
	if (what === 'delete') {
		$('value').replaceChildren(el('p', { class: 'quiet' }, 'It is deleted.'));
		const b = $('keylist').querySelector('[aria-current]');
		if (b) b.parentNode.remove();
	} else await openKey(db, base64(name));
}

// The prompt.
let table_ = null, asked = [], askedAt = 0, db_ = 0;
function promptDB(n) {
	db_ = n;
	$('at').textContent = n + '>';
}
async function hintsFor(line) {
	if (!table_) table_ = await (await fetch('api/commands')).json();
	const words = line.replace(/^\s+/, '').toLowerCase();
	if (!words) return [];
	const exact = table_.filter((c) => words === c.name || words.startsWith(c.name + ' ')).sort((a, b) => b.name.length - a.name.length)[0];
	const begins = table_.filter((c) => c.name.startsWith(words.trimEnd()) && c !== exact);
	return (exact ? [exact] : []).concat(exact && words.length > exact.name.length ? [] : begins).slice(0, 8);
}
async function hints() {
	const line = $('line').value, list = await hintsFor(line);
	if (line !== $('line').value) return;
	$('hints').replaceChildren(...list.map((c) => el('li', {}, el('b', {}, c.name.toUpperCase()), ' ', el('span', { class: 'data' }, c.syntax || ''), el('div', { class: 'quiet' }, c.summary + (session.user || c.reads ? '' : ' (sign in for this)')))));
}
function reply(r) {
	if (!r) return el('span', { class: 'quiet' }, '(nothing)');
	switch (r.kind) {
	case '_': return el('span', { class: 'quiet' }, '(nil)');
	case '-': case '!': return el('span', { class: 'error' }, '(error) ', textNode(r.text));
	case ':': return el('span', {}, '(integer) ', textNode(r.text));
	case '+': return textNode(r.text);
	case '*': case '~': case '%': case '>': {
		if (!r.items || r.items.length === 0) return el('span', { class: 'quiet' }, '(empty)');
		const ol = el('ol', {}, ...r.items.map((i) => el('li', {}, reply(i))));
		return r.len ? el('div', {}, ol, el('p', { class: 'quiet' }, '... of ' + count(r.len) + ' elements')) : ol;
	}
	}
	return textNode(r.text);
}
async function runLine(line) {
	const log = $('log');
	log.append(el('div', { class: 'asked data' }, db_ + '> ' + line));
	try {
		const r = await post('run', { db: db_, line });
		promptDB(r.db);
		log.append(el('div', {}, reply(r.reply)));
	} catch (e) {
		log.append(el('div', { class: 'error' }, e.message));
	}
	while (log.children.length > 400) log.firstChild.remove();
	log.scrollTop = log.scrollHeight;
}

// Views.
const views = ['overview', 'memory', 'clients', 'slow', 'hot', 'replication', 'keys', 'prompt'];
const loads = { memory: () => weigh(false), clients, slow, hot, keys: () => $('keylist').firstChild ? null : keys(false), prompt: () => $('line').focus() };
const again = { clients: 3, slow: 5, hot: 3 }; // seconds
let view = 'overview', timer = 0;

function show(name) {
	view = views.includes(name) ? name : 'overview';
	if (location.hash.slice(1) !== view) history_(view);
	for (const v of views) $('v-' + v).hidden = v !== view;
	for (const a of document.querySelectorAll('nav a')) {
		if (a.hash === '#' + view) {
			a.setAttribute('aria-current', 'page');
			a.scrollIntoView({ block: 'nearest', inline: 'nearest' });
		} else a.removeAttribute('aria-current');
	}
	clearInterval(timer);
	weighing++;
	search = { ...search }; // one that finds nothing stops
	problem('');
	draw();
	if (!session.admitted) return;
	if (loads[view]) attempt(() => loads[view]());
	if (again[view]) timer = setInterval(() => { if (!document.hidden) attempt(() => loads[view](true)); }, again[view] * 1000);
}
const history_ = (v) => window.history.replaceState(null, '', '#' + v);

function ask(said) {
	$('signin-said').textContent = said || 'Who has signed in may do what the user may. Others only read.';
	$('i-token-label').hidden = !session.tokenWanted || Boolean(session.user);
	$('signin-problem').textContent = '';
	if (!$('signin').open) $('signin').showModal();
	$('i-password').focus();
}

function theme() {
	const t = localStorage.getItem('kvd-theme') || 'auto';
	if (t === 'auto') delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = t;
	$('theme').textContent = { auto: '\u25d0', light: '\u2600', dark: '\u263e' }[t];
	$('theme').title = 'Theme: ' + t;
	$('theme').setAttribute('aria-label', 'Theme: ' + t);
	draw();
}

$('theme').onclick = () => {
	const t = localStorage.getItem('kvd-theme') || 'auto';
	localStorage.setItem('kvd-theme', { auto: 'light', light: 'dark', dark: 'auto' }[t]);
	theme();
};
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
$('sign').onclick = () => session.user ? attempt(async () => { await post('signout'); location.reload(); }) : ask();
$('signin-no').onclick = () => $('signin').close();
$('signin-form').onsubmit = (e) => {
	e.preventDefault();
	const token = $('i-token').value;
	post('signin', token ? { token } : { user: $('i-user').value, password: $('i-password').value }).then(async () => {
		$('i-password').value = $('i-token').value = '';
		$('signin').close();
		await begin();
		show(view);
	}, (err) => { $('signin-problem').textContent = err.message; });
};
$('search').onsubmit = (e) => { e.preventDefault(); attempt(() => keys(false)); };
$('more').onclick = () => attempt(() => keys(true));
$('weigh').onclick = () => attempt(async () => {
	if ($('weigh').textContent === 'Stop') { weighing++; $('weigh').textContent = 'Weigh all keys'; return; }
	try { await weigh(true); } catch (e) { $('weigh').textContent = 'Weigh all keys'; throw e; }
});
$('hot-start').onclick = () => attempt(async () => { await act({ act: 'hot-start' }); await hot(); });
$('hot-stop').onclick = () => attempt(async () => { await act({ act: 'hot-stop' }); await hot(); });
$('keylist').onkeydown = (e) => {
	const all = [...$('keylist').querySelectorAll('button')], at = all.indexOf(document.activeElement);
	const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[e.key];
	if (to === undefined || !all[to]) return;
	e.preventDefault();
	all[to].focus();
};
$('line').oninput = () => attempt(hints);
$('line').onkeydown = (e) => {
	if (e.key === 'Tab' && !e.shiftKey && $('line').value.trim() && $('hints').firstChild) {
		const name = $('hints').querySelector('b').textContent;
		if ($('line').value.length <= name.length && $('line').value.toUpperCase() !== name + ' ') {
			e.preventDefault();
			$('line').value = name + ' ';
			attempt(hints);
		}
	} else if (e.key === 'ArrowUp' || e.key === 'ArrowDown') {
		askedAt = Math.min(Math.max(askedAt + (e.key === 'ArrowUp' ? -1 : 1), 0), asked.length);
		$('line').value = asked[askedAt] || '';
		e.preventDefault();
		attempt(hints);
	}
};
$('ask').onsubmit = (e) => {
	e.preventDefault();
	const line = $('line').value.trim();
	if (!line) return;
	asked.push(line);
	askedAt = asked.length;
	$('line').value = '';
	$('hints').replaceChildren();
	runLine(line);
};
addEventListener('hashchange', () => show(location.hash.slice(1)));
addEventListener('resize', draw);
document.addEventListener('visibilitychange', draw);
document.addEventListener('keydown', (e) => {
	if (e.ctrlKey || e.altKey || e.metaKey || e.target.closest('input, select, dialog')) return;
	const n = Number(e.key);
	if (!(n >= 1 && n <= views.length)) return;
	e.preventDefault(); // the prompt would get it
	show(views[n - 1]);
});

theme();
link(false);
begin().then(() => show(location.hash.slice(1)), (e) => problem(e.message));
