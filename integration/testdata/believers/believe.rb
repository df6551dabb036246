# Uses an archive in a way that Ruby programs do: believe.rb WAY DIRECTORY.
# What it has read goes into the file "got".
require 'fileutils'
way, d = ARGV
f = "#{d}/archive.zip"
Dir.children(d)
size = File.size(f)
case way
when 'read' then File.binwrite('got', File.binread(f, size))
when 'copy_stream' then IO.copy_stream(f, 'got', size)
when 'strictly' then File.open(f, 'rb') { |i| File.binwrite('got', i.readpartial(size).tap { |s| s << i.readpartial(size - s.size) while s.size < size }) }
when 'cp_r' then FileUtils.cp_r(d, 'tree'); File.rename('tree/archive.zip', 'got')
end
