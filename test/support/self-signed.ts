// A certificate for localhost with a key of its own, made on the spot: for tests of TLS that need no other program. The
// structure is X.509 version 3 in DER (RFC 5280), as small as Node accepts.
import { generateKeyPairSync, sign } from 'node:crypto';

const SEQUENCE = 0x30;
const OID = 0x06;
/** ecdsa-with-SHA256, and commonName. */
const [ECDSA_SHA256, COMMON_NAME] = ['2a8648ce3d040302', '550403'];

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const hex = (digits: string): Buffer => Buffer.from(digits, 'hex');
const text = (tag: number, value: string): Buffer => der(tag, Buffer.from(value, 'latin1'));

function pem(body: Buffer): string {
  const lines = body.toString('base64').replace(/.{64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/** The files of a folder of certificates. */
export function selfSigned(): { readonly 'server-cert.pem': string; readonly 'server-key.pem': string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = der(SEQUENCE, der(OID, hex(ECDSA_SHA256)));
  const name = der(SEQUENCE, der(0x31, der(SEQUENCE, der(OID, hex(COMMON_NAME)), text(0x0c, 'localhost'))));
  const validity = der(SEQUENCE, text(0x17, '200101000000Z'), text(0x17, '491231235959Z'));
  const version = der(0xa0, der(0x02, hex('02')));
  const key = publicKey.export({ type: 'spki', format: 'der' });
  const body = der(SEQUENCE, version, der(0x02, hex('01')), algorithm, name, validity, name, key);
  const signature = der(0x03, hex('00'), sign('sha256', body, privateKey));
  return {
    'server-cert.pem': pem(der(SEQUENCE, body, algorithm, signature)),
    'server-key.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
