import type { webcrypto } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { World } from '../../world.ts'

/** Signs certificates for the hosts one sandbox visits. The key is in memory alone, and goes with it. */
export interface SessionCa {
  /** The certificate, PEM. */
  readonly certificate: string
  /** What to be `host` with, towards the sandbox. */
  contextFor(host: string): Promise<SecureContext>
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
/** Clocks in a virtual machine may be behind. */
const clockSkewMs = 3_600_000
const validMs = 7 * 86_400_000
/** A server that visits more hosts has certificates made anew. */
const contextsMax = 256

/** Makes a CA that is good for a week at most, for one sandbox. */
export async function createSessionCa(world: World): Promise<SessionCa> {
  // Loaded only where a session is recorded with its network: it costs memory and time that others need not pay.
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const { subtle } = globalThis.crypto
  // biome-ignore lint/style/noRestrictedGlobals: formats an instant that was read through World.
  const at = (ms: number) => new Date(world.now() + ms)
  const validity = { notBefore: at(-clockSkewMs), notAfter: at(validMs) }
  const makeKeys = () => subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>
  const serialNumber = () => `00${Buffer.from(world.randomBytes(15)).toString('hex')}`
  const caKeys = await makeKeys()
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Maestro Conductor session CA',
    serialNumber: serialNumber(),
    keys: caKeys,
    signingAlgorithm: algorithm,
    ...validity,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  })
  const leafKeys = await makeKeys()
  const key = pem('PRIVATE KEY', await subtle.exportKey('pkcs8', leafKeys.privateKey))
  const certificate = ca.toString('pem')

  const make = async (host: string): Promise<SecureContext> => {
    const isAddress = /^[0-9.]+$/.test(host) || host.includes(':')
    const leaf = await x509.X509CertificateGenerator.create({
      subject: '',
      issuer: ca.subject,
      serialNumber: serialNumber(),
      publicKey: leafKeys.publicKey,
      signingKey: caKeys.privateKey,
      signingAlgorithm: algorithm,
      ...validity,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        // Critical because the subject is empty (RFC 5280 §4.2.1.6).
        new x509.SubjectAlternativeNameExtension([{ type: isAddress ? 'ip' : 'dns', value: host }], true),
        await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(leafKeys.publicKey),
      ],
    })
    return createSecureContext({ key, cert: `${leaf.toString('pem')}\n${certificate}` })
  }
  const contexts = new Map<string, Promise<SecureContext>>()
  return {
    certificate: `${certificate}\n`,
    contextFor: host => {
      const known = contexts.get(host)
      if (known) return known
      if (contexts.size >= contextsMax) contexts.clear()
      const made = make(host)
      contexts.set(host, made)
      return made
    },
  }
}

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
