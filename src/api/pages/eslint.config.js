// The rules of clients/js, whose packages check the pages too.

import { createRequire } from 'node:module';

const js = createRequire(new URL('../../../clients/js/package.json', import.meta.url))('@eslint/js');

const browser = [
  'AbortController', 'AbortSignal', 'Blob', 'BroadcastChannel', 'Event', 'FormData', 'Intl', 'ResizeObserver', 'URL',
  'URLSearchParams', 'addEventListener', 'atob', 'btoa', 'clearInterval', 'clearTimeout', 'crypto', 'document', 'fetch',
  'history', 'localStorage', 'location', 'navigator', 'performance', 'requestAnimationFrame', 'setInterval',
  'setTimeout', 'window',
];

export default [
  { ignores: ['vendor/**', 'node_modules/**'] },
  js.configs.recommended,
  {
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: 'module',
      globals: Object.fromEntries(browser.map((name) => [name, 'readonly'])),
    },
    rules: {
      eqeqeq: 'error',
      'max-len': ['error', 120],
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
    },
  },
  { files: ['*/words/**'], rules: { 'max-len': 'off' } },
];
