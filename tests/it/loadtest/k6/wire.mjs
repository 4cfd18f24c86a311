// Blocking requests: another thread sends them, and the script's thread sleeps until the response is there.

import { performance } from 'node:perf_hooks';
import { URL } from 'node:url';
import { isMainThread, MessageChannel, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads';

let sendBlocking;

/** Sends a request; returns status, header fields, body and duration in milliseconds. Status 0: no response. */
export function send(params) {
  sendBlocking ||= start();
  return sendBlocking(params);
}

function start() {
  const done = new Int32Array(new SharedArrayBuffer(4));
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL(import.meta.url), { workerData: { wire: port2, done }, transferList: [port2] });
  worker.unref();
  port1.unref();
  return (params) => {
    Atomics.store(done, 0, 0);
    port1.postMessage(params);
    Atomics.wait(done, 0, 0);
    return receiveMessageOnPort(port1).message;
  };
}

function perform(request, { method, url, headers, body }) {
  const start = performance.now();
  return new Promise((resolve) => {
    const failed = (error) => resolve({ status: 0, headers: {}, body: '', error: String(error), duration: performance.now() - start });
    const clientRequest = request(url, { method, headers, timeout: 10000 }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => (text += chunk));
      response.on('error', failed);
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: text, error: '', duration: performance.now() - start }),
      );
    });
    clientRequest.on('error', failed);
    clientRequest.on('timeout', () => clientRequest.destroy(new Error('timeout')));
    clientRequest.end(body ?? undefined);
  });
}

if (!isMainThread && workerData?.wire) {
  const { wire, done } = workerData;
  // Only here: most threads send nothing, and the module takes long to load.
  const { request } = await import('node:http');
  wire.on('message', async (params) => {
    wire.postMessage(await perform(request, params));
    Atomics.store(done, 0, 1);
    Atomics.notify(done, 0);
  });
}
