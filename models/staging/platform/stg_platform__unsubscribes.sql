{%- set fields = ['unsubscribe_id', 'namespace', 'email', 'source', 'campaign_run_id', 'nqe'] -%}

with unsubscribes as (

    select * from {{ ref('base_platform__unsubscribes') }}

),

parsed as (

    {{ json_documents('unsubscribes', 'payload', fields, says_all_else()) | indent(4) }}

)

select
    {{ id_said(json_field('document', 'unsubscribe_id')) }} as unsubscribe_id,
    {{ name_said('namespace') }} as namespace,
    {{ tidy_address(json_field('document', 'email')) }} as email,
    coalesce({{ name_said('source') }}, 'unknown') as source,
    {{ name_said('campaign_run_id') }} as campaign_run_id,
    {{ name_said('nqe') }} as nqe,
    received_at,
    event_day,
    payload,
    fault,
    file_name,
    line_number
from parsed
