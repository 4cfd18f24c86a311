// Requests that block: a thread of its own sends them, and the script's thread sleeps until it is answered.

import { request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { URL } from 'node:url';
import { isMainThread, MessageChannel, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads';

let ask;

/** Sends a request, and gives status, header fields, body, and how many milliseconds it took; status 0 if nobody answered. */
export function send(what) {
  ask ||= start();
  return ask(what);
}

function start() {
  const done = new Int32Array(new SharedArrayBuffer(4));
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL(import.meta.url), { workerData: { wire: port2, done }, transferList: [port2] });
  worker.unref();
  port1.unref();
  return (what) => {
    Atomics.store(done, 0, 0);
    port1.postMessage(what);
    Atomics.wait(done, 0, 0);
    return receiveMessageOnPort(port1).message;
  };
}

function sent({ method, url, headers, body }) {
  const began = performance.now();
  return new Promise((resolve) => {
    const failed = (error) => resolve({ status: 0, headers: {}, body: '', error: String(error), took: performance.now() - began });
    const asked = request(url, { method, headers, timeout: 10000 }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece) => (text += piece));
      answer.on('error', failed);
      answer.on('end', () =>
        resolve({ status: answer.statusCode, headers: answer.headers, body: text, error: '', took: performance.now() - began }),
      );
    });
    asked.on('error', failed);
    asked.on('timeout', () => asked.destroy(new Error('timeout')));
    asked.end(body ?? undefined);
  });
}

if (!isMainThread && workerData?.wire) {
  const { wire, done } = workerData;
  wire.on('message', async (what) => {
    wire.postMessage(await sent(what));
    Atomics.store(done, 0, 1);
    Atomics.notify(done, 0);
  });
}
