/** Path and query of a request target; of an absolute URL (a proxy's request) the path and query of it. */
export function splitTarget(target: string): { path: string; query: string } {
  const relative = target.replace(/^https?:\/\/[^/?]*/i, '').replace(/#.*$/s, '');
  const mark = relative.indexOf('?');
  const path = mark === -1 ? relative : relative.slice(0, mark);
  return { path: path === '' ? '/' : path, query: mark === -1 ? '' : relative.slice(mark + 1) };
}

/** The path of a request target, decoded; as it came where it is no encoding of UTF-8, and so names nothing. */
export function decodedPath(target: string): string {
  const { path } = splitTarget(target);
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
