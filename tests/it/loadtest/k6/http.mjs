// k6/http: requests that are waited for, and the metrics that come of them.

import { demand, emit, state } from './state.mjs';
import { send } from './wire.mjs';

const PARAMS = ['headers', 'tags', 'timeout', 'redirects', 'responseType', 'responseCallback', 'cookies', 'jar', 'auth', 'compression'];
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

/** As Go writes them: `x-request-id` is X-Request-Id. */
const canonical = (name) => name.toLowerCase().replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());

function encoded(body) {
  return Object.entries(body)
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .join('&');
}

function request(method, url, body = null, params = {}) {
  demand(false, 'http');
  if (!METHODS.includes(method) || typeof url !== 'string') throw new TypeError(`${method} ${url} is no request`);
  for (const name of Object.keys(params || {})) if (!PARAMS.includes(name)) throw new TypeError(`no such parameter: ${name}`);
  const { headers = {}, tags = {} } = params || {};
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') throw new TypeError(`header field ${name} is ${value}`);
  }
  const form = body !== null && typeof body === 'object';
  if (body !== null && !form && typeof body !== 'string') throw new TypeError(`a body of ${typeof body}`);
  const answer = send({
    method,
    url,
    headers: {
      'User-Agent': state.options.userAgent,
      ...(form ? { 'Content-Type': 'application/x-www-form-urlencoded' } : {}),
      ...headers,
    },
    body: form ? encoded(body) : body,
  });
  const failed = answer.status < 200 || answer.status >= 400;
  const all = { method, url, name: url, ...tags, status: answer.status, expected_response: !failed };
  emit('http_reqs', 1, all);
  emit('http_req_duration', answer.took, all);
  emit('http_req_failed', failed, all);
  const named = Object.entries(answer.headers).map(([name, value]) => [canonical(name), value]);
  return {
    status: answer.status,
    // Nothing came: null.
    body: answer.status === 0 ? null : answer.body,
    headers: Object.fromEntries(named),
    error: answer.error,
    error_code: answer.error ? 1000 : 0,
    timings: { duration: answer.took },
    url,
  };
}

export default {
  request,
  get: (url, params) => request('GET', url, null, params),
  post: (url, body, params) => request('POST', url, body, params),
};
