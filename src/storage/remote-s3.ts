// How an object in an S3-compatible store is asked for: path-style URLs at one endpoint, signed when there are keys.
// Settings come from the caller or from the AWS_* variables that every S3 tool reads. aws4fetch is loaded only here.
import { usageError } from '../core/errors.ts';
import type { RemoteAddress } from './remote-address.ts';

export interface S3Settings {
  /** `https://HOST`, without the bucket; AWS's own for the region unless told. */
  endpoint?: string | undefined;
  /** `us-east-1` unless told. */
  region?: string | undefined;
  /** Without keys, requests are not signed. */
  accessKeyId?: string | undefined;
  secretAccessKey?: string | undefined;
  sessionToken?: string | undefined;
}

/** The URL to ask, and all headers to send. */
export type SignRequest = (
  address: RemoteAddress,
  headers: Record<string, string>,
) => Promise<{ wire: string; headers: Record<string, string> }>;

/** AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, … */
export function s3SettingsFrom(environment: Readonly<Record<string, string | undefined>>): S3Settings {
  const given = (...names: readonly string[]): string | undefined =>
    names.map((name) => environment[name]).find((value) => value !== undefined && value !== '');
  return {
    endpoint: given('AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'),
    region: given('AWS_REGION', 'AWS_DEFAULT_REGION'),
    accessKeyId: given('AWS_ACCESS_KEY_ID'),
    secretAccessKey: given('AWS_SECRET_ACCESS_KEY'),
    sessionToken: given('AWS_SESSION_TOKEN'),
  };
}

/** A signer for `settings`, which are looked at when the first object is asked for. */
export function createS3Signer(settings: () => S3Settings): SignRequest {
  const keys = new Map<string, ArrayBuffer>();
  return async (address, headers) => {
    const { accessKeyId, secretAccessKey, sessionToken, region = 'us-east-1', endpoint } = settings();
    const wire = `${endpointOf(endpoint, region)}/${[address.host, ...address.segments].join('/')}`;
    if (accessKeyId === undefined && secretAccessKey === undefined) return { wire, headers };
    if (accessKeyId === undefined || secretAccessKey === undefined) {
      throw usageError(
        `s3: only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set`,
        'Set both, or none to read without signing.',
      );
    }
    assertPlain('AWS_ACCESS_KEY_ID', accessKeyId);
    assertPlain('AWS_SECRET_ACCESS_KEY', secretAccessKey);
    assertPlain('AWS_SESSION_TOKEN', sessionToken);
    const { AwsV4Signer } = await import('aws4fetch');
    const signer = new AwsV4Signer({
      url: wire,
      headers,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      service: 's3',
      region,
      cache: keys,
    });
    const signed = await signer.sign();
    return { wire: signed.url.href, headers: Object.fromEntries(signed.headers) };
  };
}

/** Files of secrets often end with a line end, which is none of the key. Nothing of the key is told. */
function assertPlain(name: string, value = ''): void {
  if (/^[\x21-\x7e]*$/.test(value)) return;
  throw usageError(
    `s3: ${name} holds a space, a line end or another character that no key has`,
    `For example: ${name}="$(cat FILE)", which leaves the line end out.`,
  );
}

/** @throws VmdkError `usage` for what is no plain URL of a host. */
function endpointOf(endpoint: string | undefined, region: string): string {
  if (!/^[a-z0-9-]{1,40}$/.test(region)) {
    throw usageError(`s3: "${region}" is no region`, 'For example: AWS_REGION=eu-central-1');
  }
  if (endpoint === undefined) return `https://s3.${region}.amazonaws.com`;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const plain =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    `${url.username}${url.password}${url.search}${url.hash}` === '';
  if (!plain) {
    throw usageError(
      's3: the endpoint is no URL of a host',
      'For example: AWS_ENDPOINT_URL=https://minio.example:9000',
    );
  }
  return url.href.replace(/\/+$/, '');
}
