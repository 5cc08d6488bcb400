"""Uploads and copies of large objects through boto3, which cuts them into parts.

Environment: S3_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY. With version 2 this boto3 signs `?uploads` twice, which nobody takes.
"""
import hashlib
import io
import os
import tempfile

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import ClientError

s3 = boto3.client(
    's3',
    endpoint_url=os.environ['S3_URL'],
    aws_access_key_id=os.environ['EC2_ACCESS_KEY'],
    aws_secret_access_key=os.environ['EC2_SECRET_KEY'],
    region_name='nova',
    config=Config(
        signature_version='s3v4',
        s3={'addressing_style': 'path', 'payload_signing_enabled': True},
        retries={'total_max_attempts': 1},
    ),
)
bucket = 'boto3'
parts_of = TransferConfig(multipart_threshold=6 << 20, multipart_chunksize=5 << 20, max_concurrency=4)


def step(text):
    print(text, flush=True)


def refused(status, code, call, **params):
    try:
        call(**params)
    except ClientError as error:
        assert error.response['ResponseMetadata']['HTTPStatusCode'] == status, error
        assert error.response['Error']['Code'] == code, error
        step('refused: %s' % error)
        return
    raise AssertionError('%s was not refused' % call)


def read(key):
    return s3.get_object(Bucket=bucket, Key=key)['Body'].read()


s3.create_bucket(Bucket=bucket)
bits = os.urandom(20000000)
with tempfile.NamedTemporaryFile() as file:
    file.write(bits)
    file.flush()
    s3.upload_file(file.name, bucket, 'dir/large \u2603', Config=parts_of, ExtraArgs={'Metadata': {'origin': 'test'}})
    s3.download_file(bucket, 'dir/large \u2603', file.name + '.read', Config=parts_of)
    with open(file.name + '.read', 'rb') as copy:
        assert copy.read() == bits
    os.unlink(file.name + '.read')
head = s3.head_object(Bucket=bucket, Key='dir/large \u2603')
assert head['ContentLength'] == len(bits) and head['ETag'].endswith('-4"'), head
step('uploaded in parts')

s3.copy({'Bucket': bucket, 'Key': 'dir/large \u2603'}, bucket, 'copied in parts', Config=parts_of)
assert read('copied in parts') == bits
s3.copy_object(CopySource={'Bucket': bucket, 'Key': 'dir/large \u2603'}, Bucket=bucket, Key='copied')
copied = s3.head_object(Bucket=bucket, Key='copied')
assert copied['Metadata'] == {'origin': 'test'} and copied['ETag'] == '"%s"' % hashlib.md5(bits).hexdigest()
s3.copy_object(
    CopySource={'Bucket': bucket, 'Key': 'copied'},
    Bucket=bucket,
    Key='copied',
    MetadataDirective='REPLACE',
    Metadata={'new': 'yes'},
    ContentType='text/plain',
)
copied = s3.head_object(Bucket=bucket, Key='copied')
assert copied['Metadata'] == {'new': 'yes'} and copied['ContentType'] == 'text/plain'
refused(404, 'NoSuchKey', s3.copy_object, CopySource='%s/missing' % bucket, Bucket=bucket, Key='x')
refused(400, 'InvalidRequest', s3.copy_object, CopySource='%s/copied' % bucket, Bucket=bucket, Key='copied')
step('copied')

for algorithm in ('CRC32', 'SHA1', 'SHA256'):
    for body in (bits[:100000], io.BytesIO(bits[:100000])):
        put = s3.put_object(Bucket=bucket, Key='sum', Body=body, ChecksumAlgorithm=algorithm)
        assert put['Checksum%s' % algorithm], put
    assert read('sum') == bits[:100000]
refused(400, 'BadDigest', s3.put_object, Bucket=bucket, Key='sum', Body=b'x', ChecksumCRC32='AAAAAA==')
step('compared checksums')

started = s3.create_multipart_upload(Bucket=bucket, Key='abandoned', ChecksumAlgorithm='SHA256')
about = {'Bucket': bucket, 'Key': 'abandoned', 'UploadId': started['UploadId']}
numbers = []
for number, body in ((1, bits[: 5 << 20]), (2, b'last')):
    part = s3.upload_part(PartNumber=number, Body=body, ChecksumAlgorithm='SHA256', **about)
    numbers.append({'PartNumber': number, 'ETag': part['ETag'], 'ChecksumSHA256': part['ChecksumSHA256']})
pages = s3.get_paginator('list_parts').paginate(PaginationConfig={'PageSize': 1}, **about)
assert [part['Size'] for page in pages for part in page['Parts']] == [5 << 20, 4]
uploads = s3.get_paginator('list_multipart_uploads').paginate(Bucket=bucket)
assert [upload['Key'] for page in uploads for upload in page['Uploads']] == ['abandoned']
refused(400, 'InvalidPartOrder', s3.complete_multipart_upload, MultipartUpload={'Parts': numbers[::-1]}, **about)
refused(
    400,
    'InvalidPart',
    s3.complete_multipart_upload,
    MultipartUpload={'Parts': [dict(numbers[0], ChecksumSHA256=numbers[1]['ChecksumSHA256'])]},
    **about
)
s3.complete_multipart_upload(MultipartUpload={'Parts': numbers}, **about)
assert read('abandoned') == bits[: 5 << 20] + b'last'
refused(404, 'NoSuchUpload', s3.abort_multipart_upload, **about)
step('uploaded part by part')

for page in s3.get_paginator('list_objects_v2').paginate(Bucket=bucket):
    s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': each['Key']} for each in page['Contents']]})
s3.delete_bucket(Bucket=bucket)
step('done')
