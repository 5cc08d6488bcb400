/** A request which the door itself turns down, before any rule sees it. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** Seconds after which it may be asked again. */
    readonly retryAfter?: number,
  ) {
    super(message);
    this.name = 'Refusal';
  }
}

/** A protocol parameter is absent: 400, as in 2011.3. */
export const missingParameter = (name: string): Refusal =>
  new Refusal(400, 'MissingParameter', `The request must contain the parameter ${name}`);
/** A protocol parameter, or the form of the whole request, can't be understood. */
export const badRequest = (message: string, code = 'InvalidParameterValue'): Refusal => new Refusal(400, code, message);
/** Access key, project or membership is unknown: 403, as in 2011.3. Says nothing about which. */
export const authFailure = (): Refusal =>
  new Refusal(403, 'AuthFailure', 'The access key is unknown, or its user is no member of the project');
/** The signature was made with another secret or over another request: 403, as in 2011.3.1 (2011.3 crashed with 500). */
export const wrongSignature = (): Refusal =>
  new Refusal(
    403,
    'SignatureDoesNotMatch',
    'The signature does not match the request; check the secret key, and that host and path are as the client signed them',
  );
/** EC2's answer to a request with `DryRun=true` which its caller may make, and whose parameters have the right form. */
export const dryRun = (): Refusal =>
  new Refusal(412, 'DryRunOperation', 'Request would have succeeded, but DryRun flag is set.');
