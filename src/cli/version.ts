// Which vmdkit this is, as its package says.

export async function versionOf(): Promise<string> {
  const url = new URL('../../package.json', import.meta.url);
  const { default: manifest } = (await import(url.href, { with: { type: 'json' } })) as {
    default: { version: string };
  };
  return manifest.version;
}
