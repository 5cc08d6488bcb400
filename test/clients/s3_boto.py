"""Buckets and objects through boto 2.49 with OrdinaryCallingFormat, as bundle tools of 2011 use them.

Environment: S3_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY, and BOTO_SIGNATURE (2 or 4).
"""
import io
import os
from urllib.parse import urlparse

import boto.exception
from boto.s3.connection import OrdinaryCallingFormat, S3Connection

url = urlparse(os.environ['S3_URL'])
if os.environ.get('BOTO_SIGNATURE') == '4':
    os.environ['S3_USE_SIGV4'] = 'True'


def connect(secret):
    conn = S3Connection(
        os.environ['EC2_ACCESS_KEY'],
        secret,
        is_secure=False,
        host=url.hostname,
        port=url.port,
        calling_format=OrdinaryCallingFormat(),
    )
    conn.num_retries = 0
    # boto guesses it from names of hosts, and an address has none.
    conn.auth_region_name = 'nova'
    return conn


def step(text):
    print(text, flush=True)


def refused(status, code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except boto.exception.S3ResponseError as error:
        assert error.status == status, error
        assert error.error_code == code or error.body in ('', None, b''), error
        step('refused: %s %s: %s' % (error.status, error.error_code, error.error_message))
        return
    except boto.exception.S3CreateError as error:
        assert error.error_code == code, error
        step('refused: %s: %s' % (error.error_code, error.error_message))
        return
    raise AssertionError('%s was not refused' % call)


conn = connect(os.environ['EC2_SECRET_KEY'])
name = 'boto-%s' % os.environ.get('BOTO_SIGNATURE', '2')
refused(404, 'NoSuchBucket', conn.get_bucket, name)
bucket = conn.create_bucket(name)
refused(403, 'BucketAlreadyExists', conn.create_bucket, name)
assert name in [found.name for found in conn.get_all_buckets()]
assert conn.get_bucket(name).name == name
step('made %s' % name)

bits = os.urandom(300000)
for key_name in ('image.part.0', 'dir/with space and +', 'snow \u2603'):
    key = bucket.new_key(key_name)
    key.set_metadata('origin', 'test')
    key.set_contents_from_string(bits, headers={'x-amz-acl': 'aws-exec-read'})
    read = bucket.get_key(key_name)
    assert read.size == len(bits) and read.etag == key.etag, (read.size, read.etag)
    assert read.get_metadata('origin') == 'test'
    assert read.get_contents_as_string() == bits, key_name
    step('stored %s' % ascii(key_name))

assert bucket.get_key('missing') is None
refused(404, 'NoSuchKey', bucket.new_key('missing').get_contents_as_string)
assert [key.name for key in bucket.list()] == ['dir/with space and +', 'image.part.0', 'snow \u2603']
assert [key.name for key in bucket.list(prefix='image')] == ['image.part.0']
assert [key.name for key in bucket.list(delimiter='/')] == ['image.part.0', 'snow \u2603', 'dir/']
assert [key.name for key in bucket.get_all_keys(max_keys=1)] == ['dir/with space and +']
assert bucket.get_key('image.part.0').get_contents_as_string(headers={'Range': 'bytes=5-9'}) == bits[5:10]
refused(403, 'BucketNotEmpty', conn.delete_bucket, name)
refused(403, 'SignatureDoesNotMatch', connect('wrong').get_all_buckets)

copied = bucket.copy_key('copy', name, 'snow \u2603')
assert copied.etag.strip('"') and bucket.get_key('copy').get_contents_as_string() == bits
assert bucket.get_key('copy').get_metadata('origin') == 'test'
step('copied')

part = os.urandom(5 * 1024 * 1024)
upload = bucket.initiate_multipart_upload('parts', metadata={'origin': 'parts'})
upload.upload_part_from_file(io.BytesIO(bits), 3)
upload.upload_part_from_file(io.BytesIO(part), 1)
assert [(each.part_number, each.size) for each in upload] == [(1, len(part)), (3, len(bits))]
assert [each.key_name for each in bucket.list_multipart_uploads()] == ['parts']
upload.complete_upload()
read = bucket.get_key('parts')
assert read.get_contents_as_string() == part + bits and read.get_metadata('origin') == 'parts'
assert read.etag.endswith('-2"')
upload = bucket.initiate_multipart_upload('ranges')
upload.copy_part_from_key(name, 'parts', 1, start=0, end=len(part) - 1)
upload.copy_part_from_key(name, 'parts', 2, start=len(part), end=len(part) + 9)
upload.complete_upload()
assert bucket.get_key('ranges').get_contents_as_string() == part + bits[:10]
upload = bucket.initiate_multipart_upload('abandoned')
upload.upload_part_from_file(io.BytesIO(b'small'), 1)
upload.upload_part_from_file(io.BytesIO(b'smaller'), 2)
refused(400, 'EntityTooSmall', upload.complete_upload)
upload.cancel_upload()
refused(404, 'NoSuchUpload', upload.upload_part_from_file, io.BytesIO(b'late'), 3)
assert list(bucket.list_multipart_uploads()) == []
step('uploaded in parts')

for key in bucket.list():
    key.delete()
assert bucket.get_all_keys() == []
bucket.delete()
refused(404, 'NoSuchBucket', conn.get_bucket, name)
step('done')
