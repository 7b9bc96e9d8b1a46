{{ config(materialized='incremental', incremental_strategy=list_strategy(), unique_key='file_name') }}

with listed as (

    {{ landing_files() }}

),

changed as (

    select
        file_name,
        file_size,
        modified_at
    from listed
    {% if flags.EMPTY %}
    where false
    {% elif is_incremental() %}
    except
    select
        file_name,
        file_size,
        modified_at
    from {{ this }}
    {% endif %}

)

select
    file_name,
    file_size,
    modified_at,
    {{ started_at() }} as loaded_at
from changed
