import { expect } from 'chai';
import { parseFlags } from '../../../common/flags/parse.js';
import { StartupError } from '../../../common/errors.js';

/** Parses with files which exist only here. */
function parse(argv: string[], files: Record<string, string> = {}): ReturnType<typeof parseFlags> {
  return parseFlags({
    argv,
    readText: (path) => {
      const text = files[path];
      if (text === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
      return text;
    },
  });
}

describe('flags on the command line', () => {
  it('takes values after = and as the next argument', () => {
    expect(parse(['--host=a=b', '--rabbit_port', '7']).values).to.deep.equal({ host: 'a=b', rabbit_port: 7 });
  });

  it('takes booleans in every spelling of gflags', () => {
    const spellings = {
      '--verbose': true,
      '--noverbose': false,
      '--verbose=T': true,
      '--verbose=1': true,
      '--verbose=FALSE': false,
    };
    for (const [spelling, value] of Object.entries(spellings)) {
      expect(parse([spelling]).values, spelling).to.deep.equal({ verbose: value });
    }
  });

  it('leaves the word after a boolean as the first positional, which ends the flags', () => {
    const parsed = parse(['--verbose', 'false', '--host=b']);
    expect(parsed.values).to.deep.equal({ verbose: true });
    expect(parsed.positionals).to.deep.equal(['false', '--host=b']);
  });

  it('takes unique prefixes, negated ones too, and ignores ambiguous ones', () => {
    expect(parse(['--verb', '--rabbit_por=7']).values).to.deep.equal({ verbose: true, rabbit_port: 7 });
    expect(parse(['--noverb']).values).to.deep.equal({ verbose: false });
    const ambiguous = parse(['--rabbit=7']);
    expect(ambiguous.values).to.deep.equal({});
    expect(ambiguous.unknown).to.deep.equal(['rabbit']);
  });

  it('reads integers in both bases', () => {
    expect(parse(['--rabbit_port=0x10', '--quota_cores= -1 ']).values).to.deep.equal({
      rabbit_port: 16,
      quota_cores: -1,
    });
  });

  it('replaces lists and adds up multistrings', () => {
    const argv = [
      '--enabled_apis=ec2',
      '--enabled_apis= a , b',
      '--list_notifier_drivers=x',
      '--list_notifier_drivers=y',
    ];
    expect(parse(argv).values).to.deep.equal({ enabled_apis: ['a', 'b'], list_notifier_drivers: ['x', 'y'] });
    expect(parse(['--enabled_apis=']).values).to.deep.equal({ enabled_apis: [] });
  });

  it('tolerates flags of other releases, old options and undefok', () => {
    const parsed = parse(['--nodaemon', '--pidfile=/run/x', '--undefok=a,b', '-x', '--host=a']);
    expect(parsed.values).to.deep.equal({ host: 'a' });
    expect(parsed.unknown).to.deep.equal(['nodaemon', 'pidfile']);
  });

  it('stops at --', () => {
    const parsed = parse(['--host=a', '--', '--host=b']);
    expect(parsed.values).to.deep.equal({ host: 'a' });
    expect(parsed.positionals).to.deep.equal(['--host=b']);
  });

  it('refuses values of the wrong kind, naming the flag', () => {
    expect(() => parse(['--rabbit_port=abc'])).to.throw(
      StartupError,
      /IllegalFlagValue: flag --rabbit_port=abc .* an integer/,
    );
    expect(() => parse(['--verbose=yes'])).to.throw(StartupError, /--verbose=yes/);
    expect(() => parse(['--report_interval=0'])).to.throw(StartupError, /--report_interval=0 .* at least 1/);
    expect(() => parse(['--rabbit_port=1.5'])).to.throw(StartupError);
    expect(() => parse(['--host'])).to.throw(StartupError, /--host has no value/);
    expect(() => parse(['-verbose'])).to.throw(StartupError, /option -v not recognized/);
  });

  it('knows the requests for help', () => {
    expect(parse(['--help']).show).to.equal('help');
    expect(parse(['-?']).show).to.equal('help');
    expect(parse(['--helpshort']).show).to.equal('helpshort');
    expect(parse(['--version']).show).to.equal('version');
  });
});

describe('flag files', () => {
  it('lets the command line win over files, and later files over earlier ones', () => {
    const files = { '/a': '--host=a\n--verbose\n--my_ip=1', '/b': '--host=b\n--noverbose' };
    expect(parse(['--my_ip=2', '--flagfile=/a', '--flagfile', '/b'], files).values).to.deep.equal({
      host: 'b',
      verbose: false,
      my_ip: '2',
    });
  });

  it('keeps quotes and trailing comments, strips blanks, skips comments', () => {
    const text = '\uFEFF# one\n//two\n\n  --logdir="/x"  \r\n--host=b # note\n';
    const parsed = parse(['--flagfile=/a'], { '/a': text });
    expect(parsed.values).to.deep.equal({ logdir: '"/x"', host: 'b # note' });
    expect(parsed.warnings).to.deep.equal([]);
  });

  it('skips what is no flag with a warning and goes on, without showing it', () => {
    const text = '[DEFAULT]\n  # indented\nrabbit_password=hunter2\n--host b\n--host=c';
    const parsed = parse(['--flagfile=/a'], { '/a': text });
    expect(parsed.values).to.deep.equal({ host: 'c' });
    expect(parsed.warnings).to.have.length(4);
    expect(parsed.warnings[3]).to.contain('/a line 4').and.to.contain('--host');
    expect(parsed.warnings.join()).not.to.contain('hunter2');
  });

  it('includes files in place and skips those it has met', () => {
    const files = { '/a': '--host=a\n--flagfile=/b\n--my_ip=a', '/b': '--host=b\n--my_ip=b\n--flagfile=/a' };
    const parsed = parse(['--flagfile=/a'], files);
    expect(parsed.values).to.deep.equal({ host: 'b', my_ip: 'a' });
    expect(parsed.warnings).to.deep.equal(['Warning: Hit circular flagfile dependency: /a']);
    expect(parsed.files).to.deep.equal(['/a', '/b']);
  });

  it('refuses a file which cannot be read, naming it and where it is included', () => {
    expect(() => parse(['--flagfile=/none'])).to.throw(StartupError, /Unable to open flagfile \/none: ENOENT/);
    expect(() => parse(['--flagfile=/a'], { '/a': '\n--flagfile=/none' })).to.throw(
      StartupError,
      /\/none \(\/a line 2\)/,
    );
  });

  it('names the line of a wrong value, and no secret', () => {
    expect(() => parse(['--flagfile=/a'], { '/a': '\n--rabbit_port=x' })).to.throw(StartupError, '(/a line 2)');
  });
});
